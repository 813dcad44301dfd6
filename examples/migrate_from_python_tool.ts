// deno run --allow-read=migrated --allow-write=migrated examples/migrate_from_python_tool.ts
//
// Builds an image from a configuration CSV of Espressif's host tool, and extracts it to a CSV again.

import { buildFromCsv, createDevelopmentCa, extract } from "../mod.ts";

const COLUMNS =
  "tlv_type,tlv_subtype,data_value,data_type,priv_key_type,algorithm,key_size,efuse_id,efuse_key";

/** Builds the image of a CSV; the files that it names are in the same folder. */
export async function buildFolder(folder: string, csv: string) {
  const load = async (path: string) => {
    try {
      return await Deno.readFile(`${folder}/${path}`);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
  };
  return await buildFromCsv(await Deno.readTextFile(`${folder}/${csv}`), { load });
}

if (import.meta.main) {
  const { certificate } = await createDevelopmentCa();
  await Deno.mkdir("migrated/contents", { recursive: true });
  await Deno.writeTextFile("migrated/ca.pem", certificate.pem);
  await Deno.writeTextFile(
    "migrated/config.csv",
    `${COLUMNS}
ESP_SECURE_CERT_CA_CERT_TLV,0,ca.pem,file,,,,,
ESP_SECURE_CERT_USER_DATA_1_TLV,0,SN-0001,string,,,,,
`,
  );
  const { image, verdict } = await buildFolder("migrated", "config.csv");
  console.log(`${image.length} bytes, ${verdict.ok ? "good" : "bad"}`);
  for (const { name, bytes, secret } of await extract(image)) {
    await Deno.writeFile(`migrated/${name}`, bytes, secret ? { mode: 0o600 } : {});
  }
  const again = await buildFolder("migrated", "esp_secure_cert.csv");
  console.log(again.isRestored ? "the same image again" : "another image");
}
