/** One certificate, and each of its parts in forms that the device takes or refuses. */
import { assert, assertEquals } from "@std/assert";
import { concat } from "../../lib/bytes/pack.ts";
import { encodeUtf8, parseHex } from "../../lib/bytes/text.ts";
import { derOid, TAG } from "../../lib/crypto/der.ts";
import {
  derBits,
  derContext,
  derElement,
  derInteger,
  derNull,
  derOctets,
  derPrimitive,
  derSequence,
  derSet,
  derTrue,
} from "../der.ts";
import { certificateRefusal } from "../../lib/device/certificate.ts";
import { growsLinearly } from "../growth.ts";

interface Parts {
  readonly version?: Uint8Array;
  readonly serial?: Uint8Array;
  /** Of the signed part; that after it is the same where it is not given. */
  readonly algorithm?: Uint8Array;
  readonly outerAlgorithm?: Uint8Array;
  readonly issuer?: Uint8Array;
  readonly validity?: Uint8Array;
  readonly subject?: Uint8Array;
  readonly publicKey?: Uint8Array;
  /** What follows the public key. */
  readonly rest?: Uint8Array;
  readonly signature?: Uint8Array;
  /** What follows the signature. */
  readonly tail?: Uint8Array;
}

const COMMON_NAME = "2.5.4.3";
const ECDSA = derSequence(derOid("1.2.840.10045.4.3.2"));
const NAME = derSequence(attribute(TAG.utf8String));
const TIME = derElement(TAG.utcTime, encodeUtf8("260101000000Z"));
/** The base point of P-256 (FIPS 186-4 appendix D.1.2.3). */
const POINT = parseHex(
  "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296" +
    "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
);
const PUBLIC_KEY = derSequence(
  derSequence(derOid("1.2.840.10045.2.1"), derOid("1.2.840.10045.3.1.7")),
  derBits(POINT),
);
const NOTHING = new Uint8Array();

function attribute(tag: number, content: Uint8Array = encodeUtf8("x")): Uint8Array {
  return derSet(derSequence(derOid(COMMON_NAME), derElement(tag, content)));
}

function certificate(parts: Parts): Uint8Array {
  const algorithm = parts.algorithm ?? ECDSA;
  return derSequence(
    derSequence(
      parts.version ?? derContext(0, derInteger(2)),
      parts.serial ?? derInteger(1),
      algorithm,
      parts.issuer ?? NAME,
      parts.validity ?? derSequence(TIME, TIME),
      parts.subject ?? NAME,
      parts.publicKey ?? PUBLIC_KEY,
      parts.rest ?? NOTHING,
    ),
    parts.outerAlgorithm ?? algorithm,
    parts.signature ?? derBits(NOTHING),
    parts.tail ?? NOTHING,
  );
}

/** What the device says to a certificate without its place in bytes. */
function refusalOf(parts: Parts): string | undefined {
  return certificateRefusal(certificate(parts))?.replace(/ at byte \d+/, "");
}

function assertTaken(parts: Parts, message?: string): void {
  assertEquals(refusalOf(parts), undefined, message);
}

Deno.test("the frame: what follows is allowed after a certificate, and not within it", () => {
  assertTaken({});
  assertEquals(certificateRefusal(concat(certificate({}), parseHex("ffff"))), undefined);
  assertEquals(certificateRefusal(NOTHING), "need sequence (tag 0x30), found the end at byte 0");
  assertEquals(certificateRefusal(parseHex("3080")), "indefinite length at byte 0");
  assertEquals(certificateRefusal(parseHex("3085")), "length of 5 bytes at byte 0");
  assertEquals(certificateRefusal(parseHex("308201")), "need 5 bytes, have 3 at byte 0");
  assertEquals(refusalOf({ tail: derNull() }), "stray bytes");
  assertEquals(
    refusalOf({ rest: derNull() }),
    "need tag 0xa3, found null (tag 0x05) in the extensions",
  );
  assertEquals(
    refusalOf({ version: NOTHING, rest: derNull() }),
    "stray bytes",
    "version 1",
  );
});

Deno.test("versions 1 to 3, and what each may have", () => {
  const versionOf = (...content: Uint8Array[]) => derContext(0, ...content);
  const extensions = derContext(3, derSequence());
  const uniqueIds = concat(derContext(1), derContext(2));
  assertTaken({ version: NOTHING });
  assertTaken({ version: versionOf(derInteger(0)) });
  assertTaken({ version: versionOf(derInteger(1)), rest: uniqueIds });
  assertTaken({
    version: versionOf(parseHex("0206000000000002")),
    rest: concat(uniqueIds, extensions),
  });
  assertTaken({ rest: concat(derContext(2), extensions) });
  const refused: readonly (readonly [Parts, string])[] = [
    [{ version: versionOf(derInteger(3)) }, "version 4"],
    [{ version: versionOf() }, "need integer (tag 0x02), found the end in the version"],
    [{ version: versionOf(parseHex("0200")) }, "empty INTEGER in the version"],
    [{ version: versionOf(parseHex("0201ff")) }, "negative INTEGER in the version"],
    [
      { version: versionOf(parseHex("02050080000000")) },
      "INTEGER of more than 31 bits in the version",
    ],
    [{ version: versionOf(derInteger(2), derInteger(2)) }, "stray bytes in the version"],
    [
      { version: derInteger(2) },
      "need sequence (tag 0x30), found integer (tag 0x02) in the signature algorithm",
    ],
    [{ version: NOTHING, rest: extensions }, "version 1 with extensions"],
    [{ version: versionOf(derInteger(1)), rest: extensions }, "version 2 with extensions"],
    [{ version: NOTHING, rest: uniqueIds }, "version 1 with unique identifiers"],
    [{ rest: derPrimitive(1, NOTHING) }, "primitive unique identifier"],
    [
      { rest: concat(derContext(2), derContext(1)) },
      "need tag 0xa3, found tag 0xa1 in the extensions",
    ],
  ];
  for (const [parts, reason] of refused) assertEquals(refusalOf(parts), reason);
});

Deno.test("the serial number is an INTEGER or [2], of any content", () => {
  for (const serial of ["0200", "0201ff", "020100", "8200", "82020102"]) {
    assertTaken({ serial: parseHex(serial) }, serial);
  }
  const refused = "need integer (tag 0x02), found octetString (tag 0x04) in the serial number";
  assertEquals(refusalOf({ serial: derOctets(NOTHING) }), refused);
});

Deno.test("signature algorithms: RSA and ECDSA with the hashes of the device", () => {
  const known = [
    ...[4, 5, 11, 12, 13, 14].map((last) => `1.2.840.113549.1.1.${last}`),
    ...[1, 2, 3, 4].map((last) => `1.2.840.10045.4.3.${last}`),
    "1.2.840.10045.4.1",
    "1.3.14.3.2.29",
  ];
  for (const oid of known) {
    assertTaken({ algorithm: derSequence(derOid(oid)) }, oid);
    assertTaken({ algorithm: derSequence(derOid(oid), derNull()) }, oid);
    assertTaken({ algorithm: derSequence(derOid(oid), parseHex("0000")) }, oid);
  }
  const ecdsa = derOid("1.2.840.10045.4.3.2");
  const refused: readonly (readonly [Uint8Array, string])[] = [
    [derSequence(derOid("1.3.101.112")), "signature algorithm Ed25519"],
    [derSequence(derOid("2.16.840.1.101.3.4.3.10")), "signature algorithm ECDSA with SHA3-256"],
    [derSequence(derOid("1.2.840.113549.1.1.2")), "signature algorithm RSA with MD2"],
    [derSequence(derOid("1.2.3")), "signature algorithm 1.2.3"],
    [derSequence(parseHex("060455048003")), "signature algorithm #060455048003"],
    [derSequence(ecdsa, parseHex("050100")), "parameters of the signature algorithm"],
    [derSequence(ecdsa, derSequence()), "parameters of the signature algorithm"],
    [derSequence(ecdsa, derNull(), derNull()), "stray bytes in the signature algorithm"],
    [derSequence(), "need oid (tag 0x06), found the end in the signature algorithm"],
  ];
  for (const [algorithm, reason] of refused) assertEquals(refusalOf({ algorithm }), reason);
});

Deno.test("the algorithm after the signed part is the one in it, parameters included", () => {
  const oid = derOid("1.2.840.10045.4.3.2");
  const differ = "inner and outer signature algorithm differ";
  assertEquals(refusalOf({ outerAlgorithm: derSequence(oid, derNull()) }), differ);
  assertEquals(
    refusalOf({ algorithm: derSequence(oid, derNull()), outerAlgorithm: ECDSA }),
    differ,
  );
  assertEquals(refusalOf({ outerAlgorithm: derSequence(derOid("1.2.840.10045.4.3.3")) }), differ);
  // Lengths may be written otherwise, and tag 0 without content is the same as nothing.
  assertTaken({ outerAlgorithm: concat(parseHex("3081"), ECDSA.subarray(1)) });
  assertTaken({ outerAlgorithm: derSequence(oid, parseHex("0000")) });
  assertEquals(
    refusalOf({ outerAlgorithm: derSequence(oid, derNull(), derNull()) }),
    "stray bytes in the outer signature algorithm",
  );
});

Deno.test("RSASSA-PSS: each field may be absent, and each is read", () => {
  const sha256 = derOid("2.16.840.1.101.3.4.2.1");
  const mgf1 = derOid("1.2.840.113549.1.1.8");
  const pss = (...fields: Uint8Array[]) =>
    derSequence(derOid("1.2.840.113549.1.1.10"), derSequence(...fields));
  const hash = derContext(0, derSequence(sha256));
  const mask = derContext(1, derSequence(mgf1, derSequence(sha256, derNull())));
  const salt = derContext(2, derInteger(32));
  const trailer = derContext(3, derInteger(1));
  for (const fields of [[], [hash], [mask], [salt], [trailer], [hash, mask, salt, trailer]]) {
    assertTaken({ algorithm: pss(...fields) });
  }
  for (const oid of ["1.2.840.113549.2.5", "1.3.14.3.2.26", "2.16.840.1.101.3.4.2.4"]) {
    assertTaken({ algorithm: pss(derContext(0, derSequence(derOid(oid), derNull()))) }, oid);
  }
  const zero = parseHex("0000");
  assertTaken({ algorithm: pss(derContext(0, derSequence(sha256, zero))) });
  const inPss = (problem: string) => `${problem} in the RSASSA-PSS parameters`;
  const refused: readonly (readonly [Uint8Array, string])[] = [
    [derSequence(derOid("1.2.840.113549.1.1.10")), inPss("no SEQUENCE")],
    [derSequence(derOid("1.2.840.113549.1.1.10"), derNull()), inPss("no SEQUENCE")],
    [
      pss(derContext(0, derSequence(derOid("2.16.840.1.101.3.4.2.8")))),
      inPss("hash 2.16.840.1.101.3.4.2.8"),
    ],
    [pss(derContext(0, derSequence(sha256, derSequence()))), inPss("parameters of the hash")],
    [pss(derContext(0, derSequence(sha256), derNull())), inPss("stray bytes")],
    [pss(derContext(1, derSequence(sha256))), inPss("mask function 2.16.840.1.101.3.4.2.1")],
    [pss(derContext(1, derSequence(mgf1))), inPss("mask function without a hash")],
    [
      pss(derContext(1, derSequence(mgf1, derSequence(sha256, zero)))),
      inPss("parameters of the hash"),
    ],
    [
      pss(derContext(1, derSequence(mgf1, derNull()))),
      inPss("need sequence (tag 0x30), found null (tag 0x05)"),
    ],
    [pss(derContext(2, parseHex("0201ff"))), inPss("negative INTEGER")],
    [pss(derContext(2, derInteger(1), derInteger(1))), inPss("stray bytes")],
    [pss(derContext(3, derInteger(2))), inPss("trailer field 2")],
    [pss(derContext(3, derInteger(0))), inPss("trailer field 0")],
    [pss(salt, hash), inPss("stray bytes")],
    [pss(hash, derNull()), inPss("stray bytes")],
  ];
  for (const [algorithm, reason] of refused) assertEquals(refusalOf({ algorithm }), reason);
});

Deno.test("names: the strings that the device knows, in SETs of attributes", () => {
  for (const tag of [0x03, 0x0C, 0x13, 0x14, 0x16, 0x1C, 0x1E]) {
    assertTaken({ issuer: derSequence(attribute(tag)), subject: derSequence(attribute(tag)) });
    assertTaken({
      subject: derSequence(attribute(tag, NOTHING), attribute(tag, parseHex("00ff"))),
    });
  }
  const pair = derSequence(derOid(COMMON_NAME), derElement(TAG.utf8String));
  assertTaken({ subject: derSequence(derSet(pair, pair), derSet(pair)) });
  assertTaken({ subject: derSequence() });
  assertTaken({ issuer: derSequence(derSet(derSequence(parseHex("0600"), parseHex("0c00")))) });
  const names = [
    "NumericString",
    "VideotexString",
    "GraphicString",
    "VisibleString",
    "GeneralString",
  ];
  for (const [index, tag] of [0x12, 0x15, 0x19, 0x1A, 0x1B].entries()) {
    assertEquals(
      refusalOf({ subject: derSequence(attribute(tag)) }),
      `${names[index]} in the subject`,
    );
  }
  const refused: readonly (readonly [Uint8Array, string])[] = [
    [derSequence(), "no attributes"],
    [derSet(), "need sequence (tag 0x30), found set (tag 0x31)"],
    [derSequence(derSet()), "need sequence (tag 0x30), found the end"],
    [derSequence(attribute(TAG.utf8String), derSet()), "need sequence (tag 0x30), found the end"],
    [derSequence(attribute(0x0D)), "tag 0x0d"],
    [derSequence(attribute(0x2C)), "tag 0x2c"],
    [derSequence(derSequence(pair)), "need set (tag 0x31), found sequence (tag 0x30)"],
    [derSequence(derSet(derSequence())), "need oid (tag 0x06), found the end"],
    [derSequence(derSet(derSequence(derOid(COMMON_NAME)))), "need an element, found the end"],
    [
      derSequence(derSet(concat(pair, derNull()))),
      "need sequence (tag 0x30), found null (tag 0x05)",
    ],
    [
      derSequence(derSet(derSequence(derOid(COMMON_NAME), derElement(TAG.utf8String), derNull()))),
      "stray bytes",
    ],
  ];
  for (const [issuer, reason] of refused) {
    assertEquals(refusalOf({ issuer }), `${reason} in the issuer`);
  }
});

Deno.test("times: to the second, real, with Z or nothing", () => {
  const validityOf = (tag: number, text: string) => ({
    validity: derSequence(TIME, derElement(tag, encodeUtf8(text))),
  });
  const taken = {
    [TAG.utcTime]: [
      "000101000000Z",
      "240229235959",
      "500101000000Z",
      "491231235959Z",
      "000229000000Z",
    ],
    [TAG.generalizedTime]: [
      "00000101000000Z",
      "20000229000000Z",
      "99991231235959",
      "00000229000000Z",
    ],
  };
  for (const [tag, texts] of Object.entries(taken)) {
    for (const text of texts) assertTaken(validityOf(Number(tag), text), text);
  }
  const notDates = {
    [TAG.utcTime]: [
      "230229000000Z",
      "260431000000Z",
      "260001000000Z",
      "261301000000Z",
      "260100000000Z",
      "260132000000Z",
      "260101240000Z",
      "260101006000Z",
      "260101000060Z",
      "2601010000 0Z",
      "-60101000000Z",
      "26010100000aZ",
    ],
    [TAG.generalizedTime]: [
      "19000229000000Z",
      "21000229000000Z",
      "2x000101000000Z",
      "20-10101000000Z",
    ],
  };
  const names = { [TAG.utcTime]: "UTCTime", [TAG.generalizedTime]: "GeneralizedTime" };
  for (const tag of [TAG.utcTime, TAG.generalizedTime] as const) {
    for (const text of notDates[tag]) {
      const reason = `${names[tag]} that is not a date and time in the validity`;
      assertEquals(refusalOf(validityOf(tag, text)), reason, text);
    }
  }
  const forms = [
    "",
    "2601010000Z",
    "260101000000z",
    "260101000000+0100",
    "260101000000.5Z",
    "260101000000ZZ",
  ];
  for (const text of forms) {
    const reason = "UTCTime not of the form YYMMDDhhmmssZ in the validity";
    assertEquals(refusalOf(validityOf(TAG.utcTime, text)), reason, text);
  }
  assertEquals(
    refusalOf(validityOf(TAG.generalizedTime, "20260101000000.1Z")),
    "GeneralizedTime not of the form YYYYMMDDhhmmssZ in the validity",
  );
  assertEquals(
    refusalOf(validityOf(TAG.printableString, "260101000000Z")),
    "PrintableString for a time in the validity",
  );
  assertEquals(
    refusalOf({ validity: derSequence(TIME) }),
    "need an element, found the end in the validity",
  );
  assertEquals(
    refusalOf({ validity: derSequence(TIME, TIME, TIME) }),
    "stray bytes in the validity",
  );
});

Deno.test("the signature is a BIT STRING of whole bytes, of any content", () => {
  assertTaken({ signature: parseHex("030400ffffff") });
  assertEquals(
    refusalOf({ signature: parseHex("0300") }),
    "a BIT STRING of no bytes in the signature",
  );
  assertEquals(
    refusalOf({ signature: parseHex("03020100") }),
    "unused bits in the BIT STRING in the signature",
  );
});

const EXTENSIONS = {
  basicConstraints: "2.5.29.19",
  keyUsage: "2.5.29.15",
  extendedKeyUsage: "2.5.29.37",
  subjectKeyIdentifier: "2.5.29.14",
  authorityKeyIdentifier: "2.5.29.35",
  subjectAltName: "2.5.29.17",
  certificatePolicies: "2.5.29.32",
  nsCertType: "2.16.840.1.113730.1.1",
} as const;

function extension(oid: string, value: Uint8Array, critical = false): Uint8Array {
  return derSequence(derOid(oid), ...critical ? [derTrue()] : [], derOctets(value));
}

function withExtensions(...extensions: readonly Uint8Array[]): Parts {
  return { rest: derContext(3, derSequence(...extensions)) };
}

Deno.test("extensions: known ones once, others not critical", () => {
  const usage = extension(EXTENSIONS.keyUsage, parseHex("03020780"), true);
  const other = extension("1.2.3", NOTHING);
  assertTaken(withExtensions());
  assertTaken(withExtensions(usage, other, other));
  assertTaken(withExtensions(derSequence(derOid("1.2.3"), parseHex("010100"), derOctets(NOTHING))));
  const oid = derOid("1.2.3");
  const refused: readonly (readonly [Parts, string])[] = [
    [withExtensions(usage, usage), "second extension keyUsage"],
    [withExtensions(extension("1.2.3", NOTHING, true)), "critical extension 1.2.3"],
    [withExtensions(extension("2.5.29.30", NOTHING, true)), "critical extension nameConstraints"],
    [withExtensions(extension("2.5.29.36", NOTHING, true)), "critical extension policyConstraints"],
    [withExtensions(extension("2.5.29.54", NOTHING, true)), "critical extension inhibitAnyPolicy"],
    [withExtensions(extension("2.5.29.18", NOTHING, true)), "critical extension issuerAltName"],
    [
      withExtensions(derSequence(oid, parseHex("010101"), derOctets(NOTHING))),
      "critical extension 1.2.3",
    ],
    [
      withExtensions(derSequence(oid, parseHex("0100"), derOctets(NOTHING))),
      "BOOLEAN of 0 bytes in an extension",
    ],
    [
      withExtensions(derSequence(oid, parseHex("0102ffff"), derOctets(NOTHING))),
      "BOOLEAN of 2 bytes in an extension",
    ],
    [
      withExtensions(derSequence(oid, derOctets(NOTHING), derNull())),
      "stray bytes in an extension",
    ],
    [
      withExtensions(derSequence(oid, derBits(NOTHING))),
      "need octetString (tag 0x04), found bitString (tag 0x03) in an extension",
    ],
    [
      withExtensions(derSequence(oid)),
      "need octetString (tag 0x04), found the end in an extension",
    ],
    [{ rest: derContext(3) }, "need sequence (tag 0x30), found the end in the extensions"],
    [{ rest: derContext(3, derSequence(), derNull()) }, "stray bytes in the extensions"],
    [
      { rest: concat(derContext(3, derSequence()), derNull()) },
      "stray bytes",
    ],
  ];
  for (const [parts, reason] of refused) assertEquals(refusalOf(parts), reason);
  const long = refusalOf(withExtensions(extension(`1.2${".9".repeat(100)}`, NOTHING, true)));
  assert(long!.length < 100, long);
});

/** Values of each known extension, in hex: those that are taken, and those that are refused. */
const VALUES: Readonly<
  Record<keyof typeof EXTENSIONS, { taken: readonly string[]; refused: Record<string, string> }>
> = {
  basicConstraints: {
    // The last two have a SEQUENCE that ends before its fields.
    taken: [
      "3000",
      "30030101ff",
      "3003010100",
      "3003020101",
      "30060101ff020100",
      "30090101ff02047ffffffe",
      "30000101ff",
      "30030101ff020105",
    ],
    refused: {
      "": "need sequence (tag 0x30), found the end",
      "3100": "need sequence (tag 0x30), found set (tag 0x31)",
      "300401020000": "BOOLEAN of 2 bytes",
      "30020500": "need integer (tag 0x02), found null (tag 0x05)",
      "30030201ff": "negative INTEGER",
      "30020200": "empty INTEGER",
      "30090101ff02047fffffff": "the highest path length",
      "300a0101ff02050080000000": "INTEGER of more than 31 bits",
      "30060101ff0201ff": "negative INTEGER",
      "30080101ff0201000500": "stray bytes",
      "30030101ff00": "need integer (tag 0x02), found tag 0x00",
    },
  },
  keyUsage: {
    taken: [
      "03020780",
      "030100",
      "030107",
      "0304000102ff",
      "0381080001020304050607",
    ],
    refused: {
      "0300": "a BIT STRING of no bytes",
      "03020880": "unused bits in the BIT STRING",
      "0302078000": "stray bytes",
      "04020780": "need bitString (tag 0x03), found octetString (tag 0x04)",
    },
  },
  extendedKeyUsage: {
    taken: [
      "30020600",
      "300706052b06010505",
      "300406000600",
    ],
    refused: {
      "3000": "no purposes",
      "30020500": "need oid (tag 0x06), found null (tag 0x05)",
      "3002060000": "stray bytes",
      "0600": "need sequence (tag 0x30), found oid (tag 0x06)",
    },
  },
  subjectKeyIdentifier: {
    taken: ["0400", "04020102"],
    refused: {
      "": "need octetString (tag 0x04), found the end",
      "040000": "stray bytes",
      "0500": "need octetString (tag 0x04), found null (tag 0x05)",
    },
  },
  authorityKeyIdentifier: {
    taken: [
      "30028000",
      "30048002ffff",
      "30068000a1008200",
      "3004a1008200",
      "3008a10482026162 8200".replace(" ", ""),
    ],
    refused: {
      "3000": "no fields",
      "3002a000": "need tag 0xa1, found tag 0xa0",
      "3002a100": "need tag 0x82, found the end",
      "30028200": "need tag 0xa1, found tag 0x82",
      "30048000a100": "need tag 0x82, found the end",
      "30088000a10082008300": "stray bytes",
      "3008a10487020102 8200": "iPAddress of 2 bytes",
      "3002800000": "stray bytes",
      "0400": "need sequence (tag 0x30), found octetString (tag 0x04)",
    },
  },
  subjectAltName: {
    taken: [
      "3000",
      "30028200",
      "3003820161",
      "3006870401020304",
      "3012871000000000000000000000000000000001",
      // Kinds that are not looked into, and a high tag number.
      "3002a300",
      "30028500",
      "30028800",
      "30029f00",
      // directoryName, and bytes after the name in it; otherName of another kind than hardware modules.
      "3011a40f300d310b300906035504030c02 6869",
      "3013a411300d310b300906035504030c02 68690500",
      "3006a0040602 2a03",
      // hardware module name.
      "3016a01406082b06010505070804a008300606022a030400",
    ],
    refused: {
      "0c00": "need sequence (tag 0x30), found utf8String (tag 0x0c)",
      "300000": "stray bytes",
      "30020c00": "UTF8String for a name",
      "30024200": "tag 0x42 for a name",
      "300387017f": "iPAddress of 1 byte",
      "30028700": "iPAddress of 0 bytes",
      "300aa7080102030405060708": "iPAddress of 8 bytes",
      "3002a400": "need sequence (tag 0x30), found the end in directoryName",
      "3004a4023000": "need set (tag 0x31), found the end in directoryName",
      "3011a40f300d310b30090603550403120268 69": "NumericString in directoryName",
      "3002a000": "need oid (tag 0x06), found the end in otherName",
      "30028000": "need oid (tag 0x06), found the end in otherName",
      "300ca00a06082b06010505070804": "need tag 0xa0, found the end in otherName",
      "3014a01206082b06010505070804a006300406022a03":
        "need octetString (tag 0x04), found the end in otherName",
      "3018a01606082b06010505070804a00a300806022a0304000500": "stray bytes in otherName",
      "3018a01606082b06010505070804a008300606022a0304000500": "stray bytes in otherName",
    },
  },
  certificatePolicies: {
    taken: ["3006300406022a03", "3008300606022a033000", "300e300606022a0330003004060255 1d"],
    refused: {
      "3000": "no policies",
      "30020600": "need sequence (tag 0x30), found oid (tag 0x06)",
      "30023000": "need oid (tag 0x06), found the end",
      "3008300606022a030500": "need sequence (tag 0x30), found null (tag 0x05)",
      "300a300806022a0330003000": "stray bytes",
      "3006300406022a0300": "stray bytes",
    },
  },
  nsCertType: {
    taken: ["030100", "030205a0", "030107"],
    refused: {
      "030300a000": "2 bytes of bits",
      "03020880": "unused bits in the BIT STRING",
      "0300": "a BIT STRING of no bytes",
    },
  },
};

Deno.test("each known extension has its form", () => {
  for (const name of Object.keys(VALUES) as (keyof typeof VALUES)[]) {
    const refusalOfValue = (hex: string) => {
      const value = parseHex(hex.replaceAll(" ", ""));
      const [plain, critical] = [false, true].map((isCritical) =>
        refusalOf(withExtensions(extension(EXTENSIONS[name], value, isCritical)))
      );
      if (name !== "certificatePolicies") assertEquals(critical, plain);
      return plain;
    };
    for (const hex of VALUES[name].taken) assertEquals(refusalOfValue(hex), undefined, hex);
    for (const [hex, reason] of Object.entries(VALUES[name].refused)) {
      assertEquals(refusalOfValue(hex), `${reason} in ${name}`, hex);
    }
  }
});

Deno.test("critical policies must be anyPolicy, each of them", () => {
  const any = derSequence(derOid("2.5.29.32.0"));
  const policiesOf = (...policies: Uint8Array[]) =>
    refusalOf(
      withExtensions(extension(EXTENSIONS.certificatePolicies, derSequence(...policies), true)),
    );
  assertEquals(policiesOf(any, derSequence(derOid("2.5.29.32.0"), derSequence())), undefined);
  assertEquals(
    policiesOf(any, derSequence(derOid("1.2.3"))),
    "critical policy 1.2.3 in certificatePolicies",
  );
});

Deno.test("any number of names and extensions is read in linear time", async () => {
  const repeated = (element: Uint8Array, size: number) => {
    const times = Math.floor(size / element.length);
    const all = new Uint8Array(times * element.length);
    for (let at = 0; at < all.length; at += element.length) all.set(element, at);
    return all;
  };
  const parts: readonly ((size: number) => Parts)[] = [
    (size) => ({ subject: derSequence(repeated(attribute(TAG.utf8String), size)) }),
    (size) => withExtensions(repeated(extension("1.2.3", NOTHING), size)),
    (size) =>
      withExtensions(
        extension(EXTENSIONS.subjectAltName, derSequence(repeated(derPrimitive(2, NOTHING), size))),
      ),
  ];
  for (const each of parts) {
    const isLinear = await growsLinearly((size) => {
      const der = certificate(each(size));
      return () => assertEquals(certificateRefusal(der), undefined);
    }, [5000, 150_000]);
    assert(isLinear, String(each));
  }
});
