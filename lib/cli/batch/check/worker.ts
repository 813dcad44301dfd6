/** A thread of `bulk verify`: reads the files of some devices back and checks them. */
import { help } from "../../threads/share.ts";
import {
  type CheckedDevices,
  type CheckTask,
  deviceChecker,
  type ListedDevice,
} from "./devices.ts";

help<CheckTask, readonly ListedDevice[], CheckedDevices>(deviceChecker);
