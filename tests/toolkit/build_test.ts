import { assertEquals } from "@std/assert";
import { build, type BuildPlan, convert, type DataEntry } from "../../mod.ts";
import { shared, type SharedCase, sharedCases, sharedTest, vector } from "../vectors.ts";

/** The plan that a golden case's command line describes. */
function planOf({ name, args = [], inputs = [] }: SharedCase): BuildPlan {
  const file = (option: string) => {
    const path = args[args.indexOf(option) + 1];
    return args.includes(option) ? shared(`generated/inputs/${path}`) : undefined;
  };
  const [deviceCert, caCert, privateKey] = ["--device-cert", "--ca-cert", "--private-key"].map(
    file,
  );
  const data: DataEntry[] = inputs.filter((input) => input.endsWith(".dat"))
    .map((input) => ({ type: 51, data: shared(`generated/${name}/${input}`) }));
  return {
    ...deviceCert ? { deviceCert } : {},
    ...caCert ? { caCert } : {},
    ...privateKey ? { privateKey } : {},
    data,
  };
}

sharedTest("plaintext golden images come out byte for byte", async () => {
  const cases = sharedCases("plain", "sizes").filter((each) => !each.known_bad);
  for (const each of cases) {
    const plan = planOf(each);
    if (each.expect_error) continue;
    const { image } = await build(plan, { verify: false });
    assertEquals(image, shared(`generated/${each.name}/expected.bin`), each.name);
  }
  assertEquals(cases.length > 20, true);
});

Deno.test("images of the reference come out byte for byte, whatever the key's encoding", async () => {
  const [caCert, deviceCert] = [vector("plain/ca.pem"), vector("plain/device.pem")];
  const keys: readonly (readonly [string, string, string?])[] = [
    ["ecp256", "ecp256.pkcs8.pem"],
    ["ecp192", "ecp192.pkcs8.pem"],
    ["rsa2048", "rsa2048.encrypted.pem", "test1234"],
  ];
  for (const [name, file, password] of keys) {
    const privateKey = vector(`plain/${file}`);
    const plan = { caCert, deviceCert, privateKey, ...password ? { password } : {} };
    const { image } = await build(plan, { verify: false });
    assertEquals(image, vector(`plain/${name}.bin`), name);
  }
});

Deno.test("cust_flash and NVS images of the reference convert to and fro without a byte of change", async () => {
  for (
    const [file, format] of [["cust_flash.bin", "cust_flash"], ["nvs_full.bin", "nvs"]] as const
  ) {
    const image = vector(file);
    const tlv = await convert(image, { to: "tlv" });
    assertEquals((await convert(tlv.image, { to: format })).image, image, file);
  }
});
