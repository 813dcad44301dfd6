import { assert, assertEquals, assertThrows } from "@std/assert";
import { crc32 } from "../../../lib/bytes/crc32.ts";
import { SecureCertError } from "../../../lib/bytes/errors.ts";
import { concat } from "../../../lib/bytes/pack.ts";
import { encodeUtf8 } from "../../../lib/bytes/text.ts";
import type { Credentials } from "../../../lib/format/credentials.ts";
import { sha256 } from "../../../lib/format/deps.ts";
import { decodeNvsCredentials } from "../../../lib/format/nvs/credentials.ts";
import { decodeNvs } from "../../../lib/format/nvs/decode.ts";
import type { DecodedNvs, NvsItem } from "../../../lib/format/nvs/decoded.ts";
import { encodeNvs, encodeNvsCredentials } from "../../../lib/format/nvs/encode.ts";
import {
  encodeNvsEntry,
  encodeNvsInteger,
  encodeNvsPage,
  NVS_PAGE_STATES,
  NVS_TYPES,
  type NvsRecordInput,
} from "../../../lib/format/nvs/page.ts";
import { growsLinearly } from "../../growth.ts";
import { present } from "../../present.ts";
import { shared, sharedCases, sharedTest, sharedText, vector } from "../../vectors.ts";
import fc from "fast-check";

const SEED = 20261124;
const GOLDEN = vector("nvs_full.bin");
const PEM = encodeUtf8("-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n");

/** Items without the places where they were found. */
function plain({ items }: DecodedNvs): NvsItem[] {
  return items.map(({ namespace, key, type, value }) =>
    ({ namespace, key, type, value }) as NvsItem
  );
}

function kinds({ problems }: DecodedNvs): string[] {
  return problems.map(({ kind }) => kind);
}

/** An entry of an integer type. */
function u8(namespace: number, key: string, value: number): NvsRecordInput {
  return { namespace, key, type: NVS_TYPES.u8, chunk: 0xFF, data: encodeNvsInteger("u8", value) };
}

function chunk(key: string, number: number, payload: Uint8Array): NvsRecordInput {
  return { namespace: 1, key, type: NVS_TYPES.blobData, chunk: number, payload };
}

function blobIndex(key: string, size: number, count: number, start: number): NvsRecordInput {
  const data = new Uint8Array(8).fill(0xFF);
  new DataView(data.buffer).setUint32(0, size, true);
  data.set([count, start], 4);
  return { namespace: 1, key, type: NVS_TYPES.blobIndex, chunk: 0xFF, data };
}

/** A page with the namespace "n" as number 1, and these entries. */
function page(records: readonly NvsRecordInput[], sequence = 0, full = false): Uint8Array {
  return encodeNvsPage({ sequence, full, records: [u8(0, "n", 1), ...records] });
}

/** The same page with another state word or version byte, its checksum set right. */
function changed(bytes: Uint8Array, { state, version }: { state?: number; version?: number }) {
  const copy = bytes.slice();
  const view = new DataView(copy.buffer);
  if (state !== undefined) view.setUint32(0, state, true);
  if (version !== undefined) copy[8] = version;
  view.setUint32(28, crc32(copy.subarray(4, 28), 0xFFFFFFFF), true);
  return copy;
}

/** The same page with the two bits of an entry set to a mark: 0 erased, 1 illegal, 2 written, 3 empty. */
function marked(bytes: Uint8Array, slot: number, mark: number): Uint8Array {
  const copy = bytes.slice();
  const at = 32 + (slot >> 2);
  copy[at] = copy[at]! & ~(3 << 2 * (slot & 3)) | mark << 2 * (slot & 3);
  return copy;
}

/** The same page with fields of an entry changed and its checksum set right. */
function forged(bytes: Uint8Array, slot: number, change: (entry: DataView) => void): Uint8Array {
  const copy = bytes.slice();
  const view = new DataView(copy.buffer, 64 + slot * 32, 32);
  change(view);
  const summed = concat(copy.subarray(64 + slot * 32, 68 + slot * 32));
  const rest = copy.subarray(72 + slot * 32, 96 + slot * 32);
  view.setUint32(4, crc32(concat(summed, rest), 0xFFFFFFFF), true);
  return copy;
}

const name = fc.stringMatching(/^[a-z_0-9]{1,15}$/);
const bits = (type: "i8" | "u16" | "i32", min: number, max: number) =>
  fc.record({ type: fc.constant(type), value: fc.integer({ min, max }) });
const anyValue = fc.oneof(
  bits("i8", -0x80, 0x7F),
  bits("u16", 0, 0xFFFF),
  bits("i32", -0x80000000, 0x7FFFFFFF),
  fc.record({ type: fc.constant("u64" as const), value: fc.bigInt(0n, 2n ** 64n - 1n) }),
  fc.record({ type: fc.constant("i64" as const), value: fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n) }),
  fc.record({
    type: fc.constant("string" as const),
    value: fc.uint8Array({ maxLength: 3999 }).map((text) => concat(text, new Uint8Array(1))),
  }),
  fc.record({ type: fc.constant("blob" as const), value: fc.uint8Array({ maxLength: 9000 }) }),
);
const anyItems: fc.Arbitrary<NvsItem[]> = fc.uniqueArray(
  fc.tuple(fc.constantFrom("n", "esp_secure_cert", "pre_prov"), name, anyValue)
    .map(([namespace, key, value]) => ({ namespace, key, ...value }) as NvsItem),
  { selector: ({ namespace, key }) => `${namespace}/${key}`, maxLength: 12 },
);

Deno.test("encodeNvsEntry writes the documented bytes", () => {
  const data = encodeNvsInteger("i16", -2);
  const type = NVS_TYPES.i16;
  const bytes = encodeNvsEntry({ namespace: 1, type, span: 1, chunk: 0xFF, key: "key", data });
  assertEquals(bytes.subarray(0, 4).toHex(), "011201ff");
  assertEquals(
    bytes.subarray(8).toHex(),
    "6b657900000000000000000000000000" + "feffffffffffffff",
  );
  const summed = concat(bytes.subarray(0, 4), bytes.subarray(8));
  assertEquals(new DataView(bytes.buffer).getUint32(4, true), crc32(summed, 0xFFFFFFFF));
});

Deno.test("integers at the ends of their ranges are kept, beyond them refused", () => {
  const ranges = { u8: [0n, 8], i8: [1n, 8], u32: [0n, 32], i32: [1n, 32], u64: [0n, 64] } as const;
  for (const [type, [signed, size]] of Object.entries({ ...ranges, i64: [1n, 64] as const })) {
    const low = -signed * 2n ** BigInt(size - 1);
    const high = low + 2n ** BigInt(size) - 1n;
    const item = (value: bigint) => ({ namespace: "n", key: "k", type, value }) as NvsItem;
    for (const value of [low, high]) {
      const [read] = decodeNvs(encodeNvs([item(value)])).items;
      assertEquals(read?.value, size === 64 ? value : Number(value), type);
    }
    for (const value of [low - 1n, high + 1n]) {
      assertThrows(() => encodeNvs([item(value)]), RangeError, "out of range");
    }
  }
  assertThrows(() => encodeNvsInteger("u8", 1.5), RangeError, "not an exact integer");
});

Deno.test("the reference's image decodes to its credentials and encodes to the same bytes", () => {
  const { credentials, namespace, problems, offsets } = decodeNvsCredentials(GOLDEN);
  assertEquals([namespace, problems], ["esp_secure_cert", []]);
  assertEquals(credentials.caCert?.length, 567);
  assertEquals(offsets, {
    caCert: 64 + 2 * 32,
    deviceCert: 64 + 21 * 32,
    privateKey: 64 + 45 * 32,
  });
  assertEquals(encodeNvsCredentials(credentials), GOLDEN);
  const decoded = decodeNvs(GOLDEN);
  assertEquals(encodeNvs(decoded.items), GOLDEN);
  assertEquals(decoded.pages.map(({ state }) => state), ["active", "empty", "empty"]);
  assertEquals(decoded.pages.map(({ readable }) => readable), [true, false, false]);
});

Deno.test("any items decode to themselves and encode to the same bytes", () => {
  fc.assert(
    fc.property(anyItems, (items) => {
      const image = encodeNvs(items, { size: 0x20000 });
      const decoded = decodeNvs(image);
      assertEquals(decoded.problems, []);
      assertEquals(plain(decoded), items);
      assertEquals(encodeNvs(decoded.items, { size: 0x20000 }), image);
      for (const { value, offset, page } of decoded.items) {
        assertEquals(Math.floor(offset / 0x1000), page);
        if (!(value instanceof Uint8Array)) continue;
        assertEquals(image.slice(offset, offset + Math.min(32, value.length)), value.slice(0, 32));
      }
    }),
    { seed: SEED, numRuns: 60 },
  );
});

Deno.test("pages are left at the same entry as by the reference's generator", () => {
  const numbers = (count: number): NvsItem[] =>
    Array.from(
      { length: count },
      (_, n) => ({ namespace: "n", key: `k${n}`, type: "u8", value: n }),
    );
  const string = (length: number): NvsItem => ({
    namespace: "n",
    key: "s",
    type: "string",
    value: "x".repeat(length - 1),
  });
  const blob = (length: number): NvsItem => ({
    namespace: "n",
    key: "b",
    type: "blob",
    value: new Uint8Array(length),
  });
  const layout = (items: NvsItem[]) => {
    const image = encodeNvs(items, { size: 0x5000 });
    assertEquals(plain(decodeNvs(image)).length, items.length);
    const used = (at: number) => {
      const bitmap = image.subarray(at + 32, at + 64);
      return bitmap.reduce((sum, byte) => sum + 8 - byte.toString(2).replaceAll("0", "").length, 0);
    };
    return [0, 0x1000, 0x2000, 0x3000].map(used).filter((count) => count > 0);
  };
  assertEquals(layout(numbers(125)), [126], "an integer takes the last entry");
  assertEquals(layout(numbers(126)), [126, 1]);
  assertEquals(layout([...numbers(122), string(32)]), [125], "a string leaves the last entry");
  assertEquals(layout([...numbers(123), string(32)]), [124, 2]);
  assertEquals(layout([string(3936)]), [125]);
  assertEquals(layout([string(3937)]), [1, 125]);
  assertEquals(layout([string(4000)]), [1, 126], "the longest string takes a page");
  assertEquals(layout([...numbers(121), blob(64)]), [126], "a blob takes the last entry");
  assertEquals(layout([...numbers(122), blob(64)]), [126, 1], "or leaves its index to the next");
  assertEquals(layout([...numbers(123), blob(64)]), [126, 3]);
  assertEquals(layout([...numbers(124), blob(64)]), [126, 4], "a chunk may be empty");
  assertEquals(layout([...numbers(125), blob(64)]), [126, 4]);
  assertEquals(layout([...numbers(124), blob(0)]), [126, 1]);
});

Deno.test("an image with every kind of page break has the bytes of an independent layout", () => {
  const items: NvsItem[] = [];
  for (let n = 0; n < 40; n++) {
    const key = `k${n}`;
    const namespace = n % 3 === 0 ? "a" : "b";
    const value = Uint8Array.from({ length: n * 37 }, (_, at) => 1 + (at * 7 + n) % 255);
    if (n % 4 === 0) items.push({ namespace, key, type: "string", value });
    else if (n % 4 === 1) items.push({ namespace, key, type: "blob", value });
    else items.push({ namespace, key, type: "i32", value: n - 20 });
  }
  const image = encodeNvs(items, { size: 0x8000 });
  assertEquals(
    sha256(image).toHex(),
    "6ddd6d7ec82775090a6ddbaff2cd35bdd8fa51d5da23f49e428317a023908f88",
  );
});

Deno.test("a version 1 page with a blob of the old kind is read", () => {
  const payload = new Uint8Array(40).fill(7);
  const blob = { namespace: 1, key: "b", type: NVS_TYPES.blobV1, chunk: 0xFF, payload };
  const decoded = decodeNvs(changed(page([blob]), { version: 0xFF }));
  assertEquals(plain(decoded), [{ namespace: "n", key: "b", type: "blob", value: payload }]);
  assertEquals([decoded.pages[0]?.version, decoded.problems], [0xFF, []]);
});

Deno.test("chunks from either start are put together, across pages in order of their sequence", () => {
  const parts = [1, 2, 3].map((fill) => new Uint8Array(33).fill(fill));
  for (const start of [0, 0x80]) {
    const later = page([chunk("b", start + 2, parts[2]!), blobIndex("b", 99, 3, start)], 5);
    const earlier = page([chunk("b", start + 1, parts[1]!), chunk("b", start, parts[0]!)], 4, true);
    const decoded = decodeNvs(concat(later, earlier));
    assertEquals(plain(decoded), [
      { namespace: "n", key: "b", type: "blob", value: concat(...parts) },
    ]);
    assertEquals(decoded.items[0]?.page, 1);
    assertEquals(kinds(decoded), ["duplicate"], "the namespace is in both pages");
  }
});

Deno.test("a blob whose chunks do not add up is hidden and reported", () => {
  const part = new Uint8Array(10);
  const both = [chunk("b", 0, part), chunk("b", 1, part)];
  const reads = (...records: NvsRecordInput[]) => {
    const decoded = decodeNvs(page(records));
    return [decoded.items.length, ...kinds(decoded)];
  };
  assertEquals(reads(...both, blobIndex("b", 20, 2, 0)), [1]);
  assertEquals(reads(...both, blobIndex("b", 20, 3, 0)), [0, "blob"]);
  assertEquals(reads(...both, blobIndex("b", 10, 1, 0)), [1, "blob"], "the second is an orphan");
  assertEquals(reads(...both, blobIndex("b", 0xFFFFFFFF, 2, 0)), [0, "blob"]);
  assertEquals(reads(...both, blobIndex("b", 20, 2, 1)), [0, "blob", "blob"]);
  assertEquals(reads(...both, blobIndex("b", 20, 255, 0x80)), [0, "blob", "blob", "blob"]);
  assertEquals(reads(...both), [0, "blob", "blob"]);
  assertEquals(reads(blobIndex("b", 0, 0, 0)), [1]);
});

Deno.test("page states: freeing is read; erased, corrupt, invalid and unknown ones are not", () => {
  const good = page([u8(1, "k", 5)]);
  const other = page([], 9);
  const read = (state: number, version?: number) => {
    const decoded = decodeNvs(
      concat(changed(good, { state, ...version === undefined ? {} : { version } }), other),
    );
    assertEquals(decoded.pages[0]?.readable, decoded.items.length === 1);
    return [decoded.pages[0]?.state, decoded.items.length, ...kinds(decoded)];
  };
  assertEquals(read(NVS_PAGE_STATES.active), ["active", 1, "duplicate"]);
  assertEquals(read(NVS_PAGE_STATES.full), ["full", 1, "duplicate"]);
  assertEquals(read(NVS_PAGE_STATES.freeing), ["freeing", 1, "duplicate"]);
  assertEquals(read(NVS_PAGE_STATES.corrupt), ["corrupt", 0, "page-state"]);
  assertEquals(read(NVS_PAGE_STATES.invalid), ["invalid", 0, "page-state"]);
  assertEquals(read(NVS_PAGE_STATES.empty), ["empty", 0, "page-dirty"]);
  assertEquals(read(0xFFFFFF00), ["unknown", 0, "page-state"]);
  assertEquals(read(NVS_PAGE_STATES.active, 0xFD), ["active", 0, "page-version"]);
});

Deno.test("erased entries are skipped", () => {
  const long: NvsRecordInput = {
    namespace: 1,
    key: "gone",
    type: NVS_TYPES.string,
    chunk: 0xFF,
    payload: encodeUtf8("this text takes two entries with\0"),
  };
  let bytes = page([long, u8(1, "k", 5)]);
  for (const slot of [1, 2, 3]) bytes = marked(bytes, slot, 0);
  const decoded = decodeNvs(bytes);
  assertEquals(plain(decoded), [{ namespace: "n", key: "k", type: "u8", value: 5 }]);
  assertEquals(decoded.problems, []);
  const [left, ...others] = decoded.erased;
  assertEquals([left?.offset, left?.key, left?.bytes.length, others], [96, "gone", 96, []]);
  const torn = bytes.slice().fill(0, 96, 128);
  assertEquals(decodeNvs(torn).erased.map(({ offset, key }) => [offset, key]), [[96, undefined]]);
  assertEquals(decodeNvs(bytes.slice().fill(0xFF, 96, 192)).erased, []);
});

Deno.test("a bitmap that contradicts itself hides what the firmware does not reach", () => {
  const bytes = page([u8(1, "a", 1), u8(1, "b", 2), u8(1, "c", 3)]);
  const full = changed(bytes, { state: NVS_PAGE_STATES.full });
  const keys = (image: Uint8Array) => {
    const decoded = decodeNvs(image);
    return [decoded.items.map(({ key }) => key).join(""), ...kinds(decoded)];
  };
  assertEquals(keys(marked(bytes, 2, 1)), ["", "bitmap"], "an active page is given up");
  assertEquals(keys(marked(full, 2, 1)), ["ac", "bitmap"], "of a full one the entry is lost");
  assertEquals(keys(marked(bytes, 2, 3)), ["a", "bitmap"], "nothing is read after an empty mark");
  assertEquals(keys(marked(full, 2, 3)), ["ac"]);
  assertEquals(keys(marked(bytes, 3, 3)), ["ab", "bitmap"], "written and not marked");
  const gap = marked(bytes, 9, 2);
  assertEquals(keys(gap), ["abc", "bitmap"], "marked and not written");
});

Deno.test("of two entries with one key the one counts that the firmware returns", () => {
  const twice = [u8(1, "k", 1), u8(1, "k", 2)];
  const value = (image: Uint8Array) => {
    const { items, problems } = decodeNvs(image);
    assertEquals(problems.filter(({ key }) => key === "k").length, 1);
    return items.filter(({ key }) => key === "k").map((item) => item.value);
  };
  const full = NVS_PAGE_STATES.full;
  const freeing = NVS_PAGE_STATES.freeing;
  assertEquals(value(page(twice)), [2], "the last of an active page");
  assertEquals(value(changed(page(twice), { state: full })), [1], "the first of a full page");
  const first = page([u8(1, "k", 1)], 0, true);
  const last = page([u8(1, "k", 2)], 1);
  assertEquals(value(concat(last, first)), [2], "the newest entry of all");
  assertEquals(value(concat(first, page([u8(1, "k", 2), u8(1, "z", 0)], 1))), [1]);
  assertEquals(value(concat(changed(first, { state: freeing }), last)), [1]);
});

Deno.test("entries of a namespace without a name, or with a doubtful one, are reported", () => {
  const read = (...records: NvsRecordInput[]) => {
    const decoded = decodeNvs(page(records));
    const names = decoded.items.map(({ namespace, key }) => `${namespace}/${key}`).join(" ");
    return [names, ...kinds(decoded)];
  };
  assertEquals(read(u8(2, "k", 1), u8(2, "l", 1)), ["", "namespace"]);
  assertEquals(read(u8(0, "m", 1), u8(1, "k", 1)), ["n/k", "namespace"]);
  assertEquals(read(u8(0, "m", 0), u8(0, "o", 0xFF)), ["", "namespace", "namespace"]);
  assertEquals(read({ ...u8(0, "m", 2), type: NVS_TYPES.i8 }), ["", "namespace"]);
  assertEquals(decodeNvs(page([u8(0, "m", 2)])).namespaces, ["n", "m"]);
});

Deno.test("entries with right checksums and absurd fields are reported, never followed", () => {
  const payload = new Uint8Array(70).fill(0x41);
  const text = { namespace: 1, key: "k", type: NVS_TYPES.string, chunk: 0xFF, payload };
  const bytes = page([text, u8(1, "z", 1)]);
  const changes: ((entry: DataView) => void)[] = [
    ...[0, 1, 3, 5, 127, 255].map((span) => (entry: DataView) => entry.setUint8(2, span)),
    ...[0, 0xFF, 0x7F, 0x40].map((type) => (entry: DataView) => entry.setUint8(1, type)),
    ...[0, 31, 97, 4001, 0xFFFF].map((size) => (entry: DataView) =>
      entry.setUint16(24, size, true)
    ),
    (entry) => entry.setUint8(3, 0),
    (entry) => entry.setUint8(8, 0),
    (entry) => entry.setUint8(8, 0xFF),
    (entry) => new Uint8Array(entry.buffer, entry.byteOffset + 8, 16).fill(0x41),
    (entry) => {
      entry.setUint8(2, 126);
      entry.setUint16(24, 4000, true);
    },
  ];
  for (const change of changes) {
    const decoded = decodeNvs(forged(bytes, 1, change));
    assertEquals(plain(decoded), [{ namespace: "n", key: "z", type: "u8", value: 1 }]);
    assertEquals(decoded.problems[0]?.kind, "entry");
    assertEquals(decoded.problems[0]?.offset, 64 + 32);
  }
  const unfinished = decodeNvs(page([text]));
  assertEquals([unfinished.items.length, ...kinds(unfinished)], [1, "string"]);
  const overlong = forged(page([u8(1, "z", 1)]), 1, (entry) => entry.setUint8(2, 2));
  assertEquals(kinds(decodeNvs(overlong)), ["entry"]);
});

Deno.test("one flipped bit hides a value or changes nothing, and is reported in what is used", () => {
  const sound = plain(decodeNvs(GOLDEN));
  const used = 64 + 99 * 32;
  const check = (at: number, bit: number) => {
    const image = GOLDEN.slice();
    image[at]! ^= 1 << bit;
    const decoded = decodeNvs(image);
    for (const item of plain(decoded)) {
      assertEquals(item, sound.find(({ key }) => key === item.key), `bit ${bit} of byte ${at}`);
    }
    // A full page is as good as an active one, and the last four bits of the bitmap mark nothing.
    const isFree = at === 0 && bit === 1 || at === 63 && bit >= 4;
    const isPadding = at >= 64 && decoded.items.length === sound.length;
    const isReported = decoded.problems.length > 0;
    assert(at >= used || isFree || isPadding || isReported, `bit ${bit} of byte ${at}`);
  };
  for (let at = 0; at < 128; at++) for (let bit = 0; bit < 8; bit++) check(at, bit);
  fc.assert(
    fc.property(
      fc.oneof(fc.integer({ min: 128, max: used }), fc.integer({ min: 128, max: 0x2FFF })),
      fc.integer({ min: 0, max: 7 }),
      check,
    ),
    { seed: SEED, numRuns: 1500 },
  );
});

Deno.test("any bytes, and any damage, end in a value or a SecureCertError", () => {
  const survive = (image: Uint8Array) => {
    for (const decode of [decodeNvs, decodeNvsCredentials]) {
      try {
        decode(image);
      } catch (error) {
        if (!(error instanceof SecureCertError)) throw error;
      }
    }
  };
  const edits = fc.array(fc.tuple(fc.nat(0x1FFF), fc.nat(255)), { minLength: 1, maxLength: 60 });
  fc.assert(
    fc.property(edits, fc.uint8Array({ maxLength: 0x1000, minLength: 0x1000 }), (edits, noise) => {
      survive(noise);
      const image = GOLDEN.slice();
      for (const [at, byte] of edits) image[at] = byte;
      survive(image);
      survive(concat(GOLDEN.subarray(0, 64), noise.subarray(64)));
    }),
    { seed: SEED, numRuns: 150 },
  );
});

Deno.test("only whole pages with a page header among them are NVS", () => {
  const code = (image: Uint8Array) => assertThrows(() => decodeNvs(image), SecureCertError).code;
  for (let length = 0; length < GOLDEN.length; length += length % 0x1000 < 70 ? 1 : 331) {
    if (length % 0x1000 === 0 && length > 0) {
      assertEquals(decodeNvs(GOLDEN.slice(0, length)).items.length, 3);
    } else assertEquals(code(GOLDEN.subarray(0, length)), "ERR_LENGTH");
  }
  assertEquals(code(new Uint8Array(0x2000).fill(0xFF)), "ERR_MAGIC");
  assertEquals(code(new Uint8Array(0x3000)), "ERR_MAGIC");
  assertEquals(decodeNvs(concat(new Uint8Array(0x1000).fill(0xFF), GOLDEN)).items.length, 3);
});

Deno.test("an image without a page in reserve is reported", () => {
  const pages = [0, 1, 2].map((sequence) => page([u8(1, `k${sequence}`, 1)], sequence, true));
  const reserve = (image: Uint8Array) =>
    kinds(decodeNvs(image)).filter((kind) => kind === "reserve");
  assertEquals(reserve(concat(...pages)), ["reserve"]);
  assertEquals(reserve(concat(...pages.slice(0, 2))), []);
  assertEquals(reserve(concat(...pages, new Uint8Array(0x1000).fill(0xFF))), []);
});

Deno.test("an image of nothing but greedy blob indexes takes linear time", async () => {
  const pages = Array.from({ length: 63 }, (_, number) =>
    encodeNvsPage({
      sequence: number,
      full: true,
      records: Array.from({ length: 126 }, (_, slot) =>
        number === 0 && slot === 0
          ? u8(0, "n", 1)
          : slot % 3 === 0
          ? blobIndex(`b${number}_${slot}`, 0xFFFFFFFF, 255, 0)
          : { ...chunk(`b${number}_${slot - slot % 3}`, slot % 3 - 1, new Uint8Array()) }),
    }));
  const imageOf = (count: number) =>
    concat(...pages.slice(0, count), new Uint8Array(0x1000).fill(0xFF));
  const decode = (count: number) => {
    const image = imageOf(count);
    return () => decodeNvs(image);
  };
  assertEquals(await growsLinearly(decode, [4, 63]), true);
  const decoded = decodeNvs(imageOf(63));
  assertEquals(decoded.items.length, 0);
  assertEquals(kinds(decoded).every((kind) => kind === "blob"), true);
});

Deno.test("of an NVS up to 256 KiB are read, and erased flash of any length after them", () => {
  const page = encodeNvsPage({ sequence: 0, full: true, records: [u8(0, "n", 1), u8(1, "k", 2)] });
  const written = (pages: number, erased: number) =>
    concat(...Array<Uint8Array>(pages).fill(page), new Uint8Array(erased << 12).fill(0xFF));
  const { items, pages } = decodeNvs(written(64, 4096));
  assertEquals([items.length, pages.length], [1, 64]);
  assertEquals(kinds(decodeNvs(written(1, 4096))), []);
  const error = assertThrows(() => decodeNvs(written(65, 1)), SecureCertError, "262144");
  assertEquals([error.code, error.place], ["ERR_TOO_LARGE", { offset: 0x40000 }]);
  assertThrows(() => decodeNvsCredentials(written(4096, 0)), SecureCertError, "262144");
  const length = assertThrows(() => decodeNvs(new Uint8Array(0x40001)), SecureCertError);
  assertEquals(length.code, "ERR_LENGTH");
});

Deno.test("items that do not fit say by how much and which is the first without room", () => {
  const items: NvsItem[] = ["a", "b", "c"].map((key) => ({
    namespace: "n",
    key,
    type: "string",
    value: "x".repeat(3000),
  }));
  const error = assertThrows(
    () => encodeNvs(items),
    SecureCertError,
    "need 3 pages of 4096 bytes, 1 more than a partition of 12288 has for items; " +
      "the first without room is n/c",
  );
  assertEquals([error.code, error.place], ["ERR_TOO_LARGE", { entry: 2, field: "c" }]);
  assertEquals(encodeNvs(items, { size: 0x4000 }).length, 0x4000);
  assertEquals(encodeNvs(items.slice(0, 2), { size: 0x2000, readonly: true }).length, 0x2000);
  const many: NvsItem[] = Array.from({ length: 255 }, (_, n) => (
    { namespace: `n${n}`, key: "k", type: "u8", value: 0 }
  ));
  assertEquals(decodeNvs(encodeNvs(many.slice(1), { size: 0x6000 })).items.length, 254);
  const { code } = assertThrows(() => encodeNvs(many, { size: 0x6000 }), SecureCertError);
  assertEquals(code, "ERR_TOO_LARGE");
});

Deno.test("forbidden lengths, sizes and repeated keys are refused", () => {
  const item = { namespace: "n", key: "k", type: "string", value: "x".repeat(3999) } as const;
  const code = (...items: NvsItem[]) =>
    assertThrows(() => encodeNvs(items, { size: 0x100000 }), SecureCertError).code;
  encodeNvs([item, { ...item, key: "fifteen_letters", value: new Uint8Array(4000) }], {
    size: 0x4000,
  });
  assertEquals(code({ ...item, value: "x".repeat(4000) }), "ERR_LENGTH");
  assertEquals(code({ ...item, value: "é".repeat(2000) }), "ERR_LENGTH");
  assertEquals(code({ ...item, type: "blob", value: new Uint8Array(508001) }), "ERR_LENGTH");
  assertEquals(code({ ...item, key: "sixteen__letters" }), "ERR_LENGTH");
  assertEquals(code({ ...item, namespace: "" }), "ERR_LENGTH");
  assertEquals(code({ ...item, key: "a\0b" }), "ERR_LENGTH");
  for (const size of [0, 0x1000, 0x2000, 0x3001, NaN]) {
    assertThrows(() => encodeNvs([item], { size }), RangeError, "size");
  }
  assertThrows(() => encodeNvs([item], { size: 0xFFF, readonly: true }), RangeError, "size");
  assertThrows(() => encodeNvs([item, { ...item, value: "y" }]), RangeError, "given twice");
});

Deno.test("DS parameters go in under the reference's keys and order, and come out again", () => {
  const ds = {
    ciphertext: new Uint8Array(1200).fill(3),
    iv: new Uint8Array(16).fill(4),
    rsaLengthBits: 3072,
    efuseKeyId: 5,
  };
  const image = encodeNvsCredentials({ ds, caCert: PEM, deviceCert: PEM }, {
    size: 0x4000,
    namespace: "pre_prov",
  });
  assertEquals(
    decodeNvs(image).items.map(({ namespace, key, type }) => `${namespace} ${key} ${type}`),
    ["ca_cert string", "cipher_c blob", "dev_cert string", "rsa_len u16", "ds_key_id u8", "iv blob"]
      .map((each) => `pre_prov ${each}`),
  );
  const decoded = decodeNvsCredentials(image);
  const text = concat(PEM, new Uint8Array(1));
  assertEquals(present(decoded.credentials), { deviceCert: text, caCert: text, ds });
  assertEquals([decoded.namespace, decoded.problems, image.length], ["pre_prov", [], 0x4000]);
  const { iv = 0 } = decoded.offsets;
  assertEquals(image.slice(iv, iv + 16), ds.iv);
  assertEquals(
    encodeNvsCredentials(decoded.credentials, { size: 0x4000, namespace: "pre_prov" }),
    image,
  );
});

Deno.test("credentials must be PEM text; one NUL ends them, given or not", () => {
  const text = concat(PEM, new Uint8Array(1));
  assertEquals(
    encodeNvsCredentials({ deviceCert: text }),
    encodeNvsCredentials({ deviceCert: PEM }),
  );
  const code = (credentials: Credentials) =>
    assertThrows(() => encodeNvsCredentials(credentials), SecureCertError).code;
  assertEquals(code({ deviceCert: new Uint8Array([0x30, 0x82, 0, 1]) }), "ERR_PEM");
  assertEquals(code({ caCert: encodeUtf8("no certificate") }), "ERR_PEM");
  assertEquals(code({ privateKey: concat(text, text) }), "ERR_PEM");
  assertEquals(code({ deviceCert: concat(PEM, PEM, new Uint8Array(4000).fill(10)) }), "ERR_LENGTH");
  const ds = {
    ciphertext: new Uint8Array(),
    iv: new Uint8Array(15),
    rsaLengthBits: 0,
    efuseKeyId: 0,
  };
  assertEquals(code({ ds }), "ERR_LENGTH");
  const tooLong = { ...ds, iv: new Uint8Array(16), rsaLengthBits: 0x10000 };
  assertThrows(() => encodeNvsCredentials({ ds: tooLong }), RangeError);
});

Deno.test("doubtful credentials are left out and reported; esp_secure_cert goes before pre_prov", () => {
  const namespace = "esp_secure_cert";
  const image = encodeNvs([
    { namespace: "pre_prov", key: "dev_cert", type: "string", value: "old" },
    { namespace, key: "dev_cert", type: "blob", value: PEM },
    { namespace, key: "ca_cert", type: "string", value: PEM },
    { namespace, key: "iv", type: "blob", value: new Uint8Array(16) },
    { namespace, key: "ds_key_id", type: "u16", value: 3 },
  ]);
  const decoded = decodeNvsCredentials(image);
  assertEquals(Object.keys(present(decoded.credentials)), ["caCert"]);
  assertEquals(decoded.problems.map(({ key }) => key), [
    "dev_cert",
    "ds_key_id",
    "cipher_c",
    "rsa_len",
    "ds_key_id",
  ]);
  const foreign = encodeNvs([{ namespace: "n", key: "dev_cert", type: "string", value: PEM }]);
  const { code } = assertThrows(() => decodeNvsCredentials(foreign), SecureCertError);
  assertEquals(code, "ERR_NOT_FOUND");
});

/** The files that the golden cases are made of. */
function goldenInput(name: string): Uint8Array {
  return shared(`generated/inputs/${name}`);
}

sharedTest("the reference's NVS images are made byte for byte from their inputs", () => {
  const cases = sharedCases("nvs");
  assertEquals(cases.length, 5);
  for (const { name, inputs = [] } of cases) {
    const [privateKey, deviceCert, caCert] = inputs.filter((file) => file.endsWith(".pem"))
      .reverse();
    const image = encodeNvsCredentials({
      deviceCert: goldenInput(deviceCert!),
      privateKey: goldenInput(privateKey!),
      ...caCert === undefined ? {} : { caCert: goldenInput(caCert) },
    }, {
      namespace: name.includes("pre_prov") || name.includes("old_name") ? "pre_prov" : undefined,
    });
    assertEquals(image, shared(`generated/${name}/expected.bin`), name);
  }
});

sharedTest("what the firmware's getters returned for an NVS image is what is decoded", () => {
  const getters = {
    get_device_cert: "deviceCert",
    get_ca_cert: "caCert",
    get_priv_key: "privateKey",
  } as const;
  const cases = sharedCases("nvs", "corrupt").filter(({ name }) => name.includes("nvs_"));
  assertEquals(cases.length, 11);
  for (const { name, kind } of cases) {
    const image = shared(`generated/${name}/expected.bin`);
    const answers = JSON.parse(sharedText(`generated/${name}/creader.json`)).legacy_build;
    let credentials: Credentials = {};
    try {
      credentials = decodeNvsCredentials(image).credentials;
    } catch (error) {
      assertEquals((error as SecureCertError).code, "ERR_NOT_FOUND", name);
    }
    for (const [getter, part] of Object.entries(getters)) {
      const value = credentials[part];
      const { ret, len, sha256: hash } = answers[getter];
      assertEquals(value !== undefined, ret === "ESP_OK", `${name} ${getter}`);
      if (value === undefined) continue;
      assertEquals([value.length, sha256(value).toHex()], [len, hash], `${name} ${getter}`);
    }
    assertEquals(decodeNvs(image).problems.length > 0, kind === "corrupt", name);
  }
});

sharedTest("each damaged NVS image is reported with its place", () => {
  const place = (name: string) =>
    decodeNvs(shared(`generated/corrupt_nvs_${name}/expected.bin`)).problems.map(
      ({ kind, offset, key }) => [kind, offset, key],
    );
  assertEquals(place("page_crc"), [["page-checksum", 28, undefined]]);
  assertEquals(place("page_version"), [["page-checksum", 28, undefined]]);
  assertEquals(place("page_state"), [["page-state", 0, undefined]]);
  assertEquals(place("entry_crc"), [["entry-checksum", 64 + 20 * 32, "dev_cert"]]);
  assertEquals(place("key_renamed"), [["entry-checksum", 64 + 44 * 32, "qriv_key"]]);
  assertEquals(place("data_crc"), [["data-checksum", 64 + 21 * 32, "dev_cert"]]);
});

sharedTest("the published images of an older generator, unused pages marked full, are read", () => {
  for (const [name, namespace] of [["nvs", "esp_secure_cert"], ["nvs_legacy", "pre_prov"]]) {
    const folder = `espressif/qemu_test/${name}`;
    const image = shared(`${folder}/${name}.bin`);
    const decoded = decodeNvsCredentials(image);
    assertEquals([decoded.namespace, decoded.problems], [namespace, []]);
    const files = { deviceCert: "device_cert", caCert: "ca_cert", privateKey: "priv_key" } as const;
    for (const [part, file] of Object.entries(files) as [keyof typeof files, string][]) {
      const input = shared(`${folder}/input_data/${file}.pem`);
      assertEquals(decoded.credentials[part], concat(input, new Uint8Array(1)), file);
    }
    assertEquals(decodeNvs(image).pages.map(({ state }) => state), ["full", "full", "empty"]);
  }
});
