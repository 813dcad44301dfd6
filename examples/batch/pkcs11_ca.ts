// deno run --allow-ffi --allow-read=hsm.pin examples/batch/pkcs11_ca.ts MODULE TOKEN KEY hsm.pin
//
// Signs for `bulk --ca-command` and `issue --ca-command` with a key that an HSM keeps. MODULE is the
// PKCS#11 library of the HSM, such as /usr/lib/softhsm/libsofthsm2.so, TOKEN and KEY are labels, and the
// PIN is in a file. One session stays open, so that a signature costs what the HSM takes for it.
//
// PKCS#11 2.40 on 64-bit Linux and macOS, where its numbers have eight bytes.

const [module, tokenLabel, keyLabel, pinFile] = Deno.args;

const CKF_SERIAL_SESSION = 4n;
const CKU_USER = 1n;
const CKA_CLASS = 0n;
const CKA_LABEL = 3n;
const CKO_PRIVATE_KEY = 3n;
const CKM_SHA256_RSA_PKCS = 0x40n;
const CKM_ECDSA = 0x1041n;
/** Of CK_TOKEN_INFO, which begins with a label of 32 bytes. */
const TOKEN_INFO_SIZE = 208;
const LABEL_SIZE = 32;
/** A signature of RSA-8192. */
const MOST_SIGNATURE = 1024;

const { symbols: hsm } = Deno.dlopen(module!, {
  C_Initialize: { parameters: ["pointer"], result: "u64" },
  C_GetSlotList: { parameters: ["u8", "buffer", "buffer"], result: "u64" },
  C_GetTokenInfo: { parameters: ["u64", "buffer"], result: "u64" },
  C_OpenSession: { parameters: ["u64", "u64", "pointer", "pointer", "buffer"], result: "u64" },
  C_Login: { parameters: ["u64", "u64", "buffer", "u64"], result: "u64" },
  C_FindObjectsInit: { parameters: ["u64", "buffer", "u64"], result: "u64" },
  C_FindObjects: { parameters: ["u64", "buffer", "u64", "buffer"], result: "u64" },
  C_FindObjectsFinal: { parameters: ["u64"], result: "u64" },
  C_SignInit: { parameters: ["u64", "buffer", "u64"], result: "u64" },
  C_Sign: { parameters: ["u64", "buffer", "u64", "buffer", "buffer"], result: "u64" },
});

function check(name: string, result: bigint): void {
  if (result !== 0n) throw new Error(`${name}: CKR 0x${result.toString(16)}`);
}

/** Numbers and addresses one after the other, as C has them in a struct. */
function struct(
  ...fields: readonly (bigint | Uint8Array<ArrayBuffer>)[]
): BigUint64Array<ArrayBuffer> {
  return BigUint64Array.from(
    fields,
    (field) =>
      typeof field === "bigint" ? field : Deno.UnsafePointer.value(Deno.UnsafePointer.of(field)),
  );
}

/** The slot whose token has the label. */
function findSlot(label: string): bigint {
  const slots = new BigUint64Array(64);
  const count = BigUint64Array.of(BigInt(slots.length));
  check("C_GetSlotList", hsm.C_GetSlotList(1, slots, count));
  for (const slot of slots.subarray(0, Number(count[0]))) {
    const info = new Uint8Array(TOKEN_INFO_SIZE);
    check("C_GetTokenInfo", hsm.C_GetTokenInfo(slot, info));
    if (new TextDecoder().decode(info.subarray(0, LABEL_SIZE)).trimEnd() === label) return slot;
  }
  throw new Error(`no token ${label}`);
}

function openSession(slot: bigint, pin: Uint8Array<ArrayBuffer>): bigint {
  const session = new BigUint64Array(1);
  check("C_OpenSession", hsm.C_OpenSession(slot, CKF_SERIAL_SESSION, null, null, session));
  check("C_Login", hsm.C_Login(session[0]!, CKU_USER, pin, BigInt(pin.length)));
  return session[0]!;
}

function findKey(session: bigint, name: string): bigint {
  const kind = new Uint8Array(BigUint64Array.of(CKO_PRIVATE_KEY).buffer);
  const label = new TextEncoder().encode(name);
  const template = struct(CKA_CLASS, kind, 8n, CKA_LABEL, label, BigInt(label.length));
  check("C_FindObjectsInit", hsm.C_FindObjectsInit(session, template, 2n));
  const [keys, count] = [new BigUint64Array(2), new BigUint64Array(1)];
  check("C_FindObjects", hsm.C_FindObjects(session, keys, 2n, count));
  check("C_FindObjectsFinal", hsm.C_FindObjectsFinal(session));
  if (count[0] !== 1n) throw new Error(`${count[0]} private keys have the label ${name}`);
  return keys[0]!;
}

function signRaw(mechanism: bigint, data: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  check("C_SignInit", hsm.C_SignInit(session, struct(mechanism, 0n, 0n), key));
  const signature = new Uint8Array(MOST_SIGNATURE);
  const length = BigUint64Array.of(BigInt(MOST_SIGNATURE));
  check("C_Sign", hsm.C_Sign(session, data, BigInt(data.length), signature, length));
  return signature.subarray(0, Number(length[0]));
}

/** DER sequence of r and s, which PKCS#11 gives one after the other; both curves need one length byte. */
function ecdsaDer(raw: Uint8Array): Uint8Array {
  const half = raw.length / 2;
  const numbers = [raw.subarray(0, half), raw.subarray(half)].flatMap((number) => {
    const digits = number.subarray(number.findIndex((byte) => byte !== 0));
    const sign = digits[0]! > 127 ? [0] : [];
    return [2, sign.length + digits.length, ...sign, ...digits];
  });
  return Uint8Array.of(0x30, numbers.length, ...numbers);
}

async function sign(request: string): Promise<Uint8Array> {
  const [algorithm, text = ""] = request.split(" ");
  const data = Uint8Array.fromBase64(text);
  if (algorithm === "rsa-pkcs1-sha256") return signRaw(CKM_SHA256_RSA_PKCS, data);
  if (algorithm !== "ecdsa-sha256" && algorithm !== "ecdsa-sha384") {
    throw new Error(`unknown algorithm ${algorithm}`);
  }
  // Not every HSM hashes for ECDSA.
  const hash = await crypto.subtle.digest(`SHA-${algorithm.slice(-3)}`, data);
  return ecdsaDer(signRaw(CKM_ECDSA, new Uint8Array(hash)));
}

async function* lines(stream: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<string> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const parts = (rest + text).split("\n");
    rest = parts.pop()!;
    yield* parts;
  }
}

const pin = new TextEncoder().encode((await Deno.readTextFile(pinFile!)).trimEnd());
check("C_Initialize", hsm.C_Initialize(null));
const session = openSession(findSlot(tokenLabel!), pin);
const key = findKey(session, keyLabel!);

for await (const request of lines(Deno.stdin.readable)) {
  let answer: string;
  try {
    answer = (await sign(request)).toBase64();
  } catch (error) {
    answer = `error ${(error as Error).message}`;
  }
  await Deno.stdout.write(new TextEncoder().encode(`${answer}\n`));
}
