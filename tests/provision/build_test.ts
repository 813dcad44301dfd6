import { assertEquals } from "@std/assert";
import { build, type BuildPlan, type DataEntry } from "../../mod.ts";
import { shared, type SharedCase, sharedCases, sharedTest } from "../vectors.ts";

/** The plan that a golden case's command line stands for. */
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
