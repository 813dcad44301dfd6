// deno-lint-ignore-file no-control-regex -- first bytes of files are control characters
// What people give in the place of a PEM or DER file, so that a message can say what it is and how to
// convert it. Nothing here is on the way of a file that can be read.

import { SecureCertError } from "../bytes/errors.ts";
import { pemLabels, pemText } from "../bytes/pem.ts";
import { mayBeSecret } from "../bytes/text.ts";
import { contentOf, type DerCursor, enterDer, nextDer, oidOf, readDer, TAG } from "./der.ts";

/** What a reader reads. */
export type Wanted = "private key" | "certificate" | "signing request" | "public key";

/** What a file is. */
export interface Foreign {
  /** With its article, such as `a PKCS#12 container`. */
  readonly name: string;
  /** What it holds, where a reader of that could read it. */
  readonly kind?: Wanted;
  /** What to do with it, for anyone who wants one kind, or anything that it holds. */
  readonly remedy?: string | Partial<Readonly<Record<Wanted | "any", string>>>;
}

/** Characters of a text that are looked at. */
const MOST_READ = 0x10000;
/** PEM blocks whose labels are looked at. */
const MOST_LABELS = 1000;
/** Bytes of the longest of the signatures below. */
const LONGEST_SIGNATURE = 21;
const LATIN1 = new TextDecoder("latin1");

/**
 * What a file is, by its first bytes, its PEM labels or its DER structure; undefined for what is not
 * known. No part of the file is in the answer but names of JSON members.
 *
 * @param file The file.
 * @param wanted What is looked for in a file of several PEM blocks.
 */
export function foreignFormat(file: Uint8Array | string, wanted?: Wanted): Foreign | undefined {
  const text = typeof file === "string"
    ? file.slice(0, MOST_READ)
    : LATIN1.decode(file.subarray(0, MOST_READ));
  // What is called Latin-1 there has other characters from 0x80 to 0x9F.
  const start = typeof file === "string"
    ? file.slice(0, LONGEST_SIGNATURE)
    : String.fromCharCode(...file.subarray(0, LONGEST_SIGNATURE));
  const signature = SIGNATURES.find(([bytes]) => start.startsWith(bytes)) ??
    PATTERNS.find(([pattern]) => pattern.test(start));
  return signature?.[1] ?? formatOf(text) ?? pemFormat(pemText(file), wanted) ??
    (BAD_BEGIN.test(text) ? BAD_PEM : undefined) ??
    (typeof file === "string" ? undefined : derFormat(file));
}

/**
 * The error for a file that could not be read: that it is of another format, where it is one; else the
 * error that came.
 *
 * @param error What its reader threw.
 * @param file The file.
 * @param wanted What its reader reads.
 */
export function foreignError(error: unknown, file: Uint8Array | string, wanted: Wanted): unknown {
  if (!(error instanceof SecureCertError) || error.code === "ERR_PASSWORD") return error;
  const found = foreignFormat(file, wanted);
  if (found === undefined || found.kind === wanted) return error;
  const remedy = typeof found.remedy === "string" ? found.remedy : found.remedy?.[wanted];
  const advice = remedy === undefined ? "" : `; ${remedy}`;
  const message = `Cannot decode ${wanted}: the file is ${found.name}${advice}`;
  return new SecureCertError(error.code, message, {}, { cause: error });
}

/**
 * What a reader makes of a file; of a file of another format its error says so.
 *
 * @param file The file.
 * @param wanted What the reader reads.
 * @param read The reader.
 */
export function readAs<T>(file: Uint8Array | string, wanted: Wanted, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw foreignError(error, file, wanted);
  }
}

function formatOf(text: string): Foreign | undefined {
  if (text === "") return { name: "empty" };
  const trimmed = text.replace(/^(\xEF\xBB\xBF|\uFEFF)?\s*/, "").trimEnd();
  if (trimmed === "") return { name: "blank" };
  if (SOPS_VALUE.test(trimmed)) return SOPS;
  return jsonFormat(trimmed) ?? TEXTS.find(([pattern]) => pattern.test(trimmed))?.[1];
}

/** The dashes may be others, too few, or gone. */
const BAD_BEGIN = /^[^\w\r\n]{0,20}BEGIN (?:[A-Z0-9]{1,20} )?(?:PRIVATE KEY|CERTIFICATE)\b/im;
const BAD_PEM: Foreign = {
  name: "PEM whose BEGIN line is not right",
  remedy: "that line needs five hyphens at either end and capital letters",
};
const OTHER_HALF = "give the private key that belongs to it";
const CONVERT_SSH = "convert a copy of it in place: ssh-keygen -p -m PEM -N '' -f COPY";
const OPENSSH: Foreign = {
  name: "an OpenSSH private key",
  remedy: { "private key": CONVERT_SSH, any: CONVERT_SSH },
};
const PUBLIC_SSH: Foreign = {
  name: "an OpenSSH public key",
  remedy: {
    "private key": OTHER_HALF,
    "public key": "convert it: ssh-keygen -e -m PKCS8 -f FILE > public.pem",
  },
};
/** How to convert a Java keystore, given what keytool needs to know of it. */
const fromJava = (options = "") =>
  `convert it to PKCS#12: keytool -importkeystore -srckeystore FILE ${options}-destkeystore all.p12 ` +
  "-deststoretype PKCS12; and that to PEM: openssl pkcs12 -in all.p12 -nodes -out all.pem";
const JAVA = fromJava();
const UNPACK = "unpack it first";
const MAKE_KEY = "make a key for the device: keygen -o key.pem";
const DOWNLOAD = "the download failed; fetch the file again and look at what the server says";

const PARAMETERS: Foreign = {
  name: "the parameters of a key without a key",
  remedy: { "private key": "give the file of the key itself" },
};
const PGP_KEY: Foreign = {
  name: "an OpenPGP key",
  remedy: { "private key": `it is not for certificates; ${MAKE_KEY}` },
};
const PGP_MESSAGE: Foreign = {
  name: "an OpenPGP message",
  remedy: "take out what is in it: gpg -o OUT -d FILE",
};
/** A value that SOPS encrypted, in YAML, JSON or another format that it takes. */
const SOPS_VALUE = /ENC\[AES256_GCM,data:/;
const SOPS: Foreign = {
  name: "a file that SOPS encrypted",
  remedy: "decrypt it first: sops -d FILE > OUT",
};
const BLOB = "convert it: openssl rsa -inform MSBLOB -in FILE -out key.pem";

/** By the first bytes of a file, read as Latin-1, where they are not always the same. */
const PATTERNS: readonly (readonly [RegExp, Foreign])[] = [
  // RFC 9580, packets of tag 5 and 6: length, version 4, time, algorithm.
  [
    /^(?:[\x94\x98].|[\x95\x99]..|[\xC5\xC6](?:.|[\xC0-\xDF].))\x04.{4}[\x01\x02\x10-\x13\x16]/s,
    PGP_KEY,
  ],
  // Tag 1: version 3, key, algorithm; tag 3: version 4, cipher, derivation.
  [
    /^(?:\x84.|\x85..)\x03.{8}[\x01\x02\x10\x12\x13\x16]|^\x8C.\x04[\x01-\x0D][\0\x01\x03]/s,
    PGP_MESSAGE,
  ],
  // RFC 1950, with a window of 32 KiB.
  [/^\x78[\x01\x5E\x9C\xDA]/, {
    name: "a zlib stream",
    remedy: `${UNPACK}: python3 -c 'import sys, zlib; ` +
      "sys.stdout.buffer.write(zlib.decompress(sys.stdin.buffer.read()))' < FILE > out.bin",
  }],
  [/^\0\0\0[\x01\x02]\0\0\0\x14/, {
    name: "a keystore of Bouncy Castle (BKS)",
    remedy: fromJava(
      "-srcstoretype BKS -providerclass org.bouncycastle.jce.provider.BouncyCastleProvider " +
        "-providerpath bcprov.jar ",
    ),
  }],
];

/** By the first bytes of a file, read as Latin-1. */
const SIGNATURES: readonly (readonly [string, Foreign])[] = [
  ["\xFE\xED\xFE\xED", { name: "a Java keystore (JKS)", remedy: JAVA }],
  ["\xCE\xCE\xCE\xCE", { name: "a Java keystore (JCEKS)", remedy: JAVA }],
  ["openssh-key-v1\0", OPENSSH],
  ["PK\x03\x04", { name: "a ZIP archive", remedy: `${UNPACK}: unzip FILE` }],
  ["PK\x05\x06", { name: "a ZIP archive with nothing in it" }],
  ["\x1E\xF1\xB5\xB0", {
    name: "a private key of Windows (PVK)",
    remedy: "convert it: openssl rsa -inform PVK -in FILE -out key.pem",
  }],
  ["\x07\x02\0\0", { name: "a private key of Windows (PRIVATEKEYBLOB)", remedy: BLOB }],
  ["\x06\x02\0\0", {
    name: "a public key of Windows (PUBLICKEYBLOB)",
    remedy: { "private key": OTHER_HALF },
  }],
  ["\x06\x08\x2A\x86\x48\xCE\x3D\x03\x01", PARAMETERS],
  ["\x06\x05\x2B\x81\x04\0", PARAMETERS],
  ["\x1F\x8B\x08", { name: "a gzip file", remedy: `${UNPACK}: gunzip < FILE > OUT` }],
  ["\xFD7zXZ\0", { name: "an xz file", remedy: `${UNPACK}: unxz < FILE > OUT` }],
  ["\x28\xB5\x2F\xFD", { name: "a Zstandard file", remedy: `${UNPACK}: unzstd < FILE > OUT` }],
  ["\x04\x22\x4D\x18", { name: "an LZ4 file", remedy: `${UNPACK}: unlz4 < FILE > OUT` }],
  ["BZh", { name: "a bzip2 file", remedy: `${UNPACK}: bunzip2 < FILE > OUT` }],
  ["7z\xBC\xAF\x27\x1C", { name: "a 7z archive", remedy: UNPACK }],
  ["Rar!\x1A\x07", { name: "a RAR archive", remedy: UNPACK }],
  ["\x89PNG\r\n\x1A\n", { name: "a PNG picture" }],
  ["\xFF\xD8\xFF", { name: "a JPEG picture" }],
  ["GIF8", { name: "a GIF picture" }],
  ["%PDF-", { name: "a PDF document" }],
  ["{\\rtf", { name: "an RTF document", remedy: "save it as plain text" }],
  ["\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", { name: "an old Office document" }],
  ["\x7FELF", { name: "an ELF program" }],
  ["SQLite format 3\0", { name: "an SQLite database" }],
  ["\x03\xD9\xA2\x9A", { name: "a KeePass database" }],
  ["LUKS\xBA\xBE", { name: "a LUKS volume" }],
  ["age-encryption.org/v1", { name: "an age file", remedy: "decrypt it first: age -d FILE" }],
  ["Salted__", { name: "a file that openssl enc encrypted", remedy: "decrypt it first" }],
];

/** By the text, without the blanks around it. */
const TEXTS: readonly (readonly [RegExp, Foreign])[] = [
  // POSIX ustar: after a name, mode, owner, sizes and times. The first file comes out of it.
  [/^[^]{257}ustar[\0 ]/, { name: "a tar archive", remedy: `${UNPACK}: tar -xf FILE` }],
  [/^PuTTY-User-Key-File-/, {
    name: "a PuTTY private key",
    remedy: "convert it: puttygen FILE -O private-openssh -o key.pem",
  }],
  [/^(?:ssh-(?:rsa|dss|ed25519)|ecdsa-sha2-nistp\d+|sk-[a-z0-9@.-]+) AAAA/, PUBLIC_SSH],
  [/^(?:ssh|ecdsa|sk)-[a-z0-9-]+-cert-v01@openssh\.com AAAA/, {
    name: "a certificate of OpenSSH, which is not one of TLS",
    remedy: { "certificate": "have one issued: csr, then issue", "private key": OTHER_HALF },
  }],
  [/^---- BEGIN SSH2 PUBLIC KEY ----/, {
    ...PUBLIC_SSH,
    name: "an SSH2 public key",
  }],
  [/^<(?:!doctype html|html|head|body)\b/i, { name: "an HTML page", remedy: DOWNLOAD }],
  [/^<\?xml|^<RSAKey|^<Error>/, { name: "an XML document" }],
  [/^HTTP\/\d/, { name: "the answer of an HTTP server with its headers", remedy: DOWNLOAD }],
  [/^(?:https?|ftp):\/\/\S+$/i, {
    name: "a URL, not the file that it leads to",
    remedy: "fetch it first: curl -fLo FILE URL",
  }],
  [/^\[InternetShortcut\]/, {
    name: "a link, not the file that it leads to",
    remedy: "fetch it first",
  }],
  [/^pkcs11:/, {
    name: "the URI of a key in a hardware token, which does not leave it",
    remedy: "make a signing request with the token's own tool",
  }],
  [/^version https:\/\/git-lfs/, { name: "a pointer of Git LFS", remedy: "run: git lfs pull" }],
  [/-----BEGIN [A-Z0-9 ]{1,64}-----(?:(?:\\r)?\\n)?(?:["']|\\\r?$)/m, {
    name: "PEM in the strings of a program (C)",
    remedy: "take it out: sed 's/.*-----BEGIN/-----BEGIN/; s/\\\\[nr]//g; " +
      "s/[^A-Za-z0-9+/= -]//g; s/^ *//; s/ +*$//' FILE > out.pem",
  }],
  [/-----BEGIN [A-Z0-9 ]{1,64}-----(?:\\r)?\\n/, {
    name: "PEM with \\n in the place of its line breaks",
    remedy: `put them in: printf '%b' "$(cat FILE)" > out.pem`,
  }],
  [/^[> \t]*> ?-----BEGIN [A-Z0-9 ]{1,64}-----/m, {
    name: "PEM quoted in a mail",
    remedy: "take the marks away: sed 's/^[> ]*//' FILE > out.pem",
  }],
  [/^[ \t]*[\w.-]+:[ \t]+"?LS0tLS1CRUdJTi/m, {
    name: "a Kubernetes secret, PEM in base64",
    remedy:
      "take it out: sed -n 's/^ *tls.key: //p' FILE | base64 -d > out.pem (tls.crt is the certificate)",
  }],
  [/^\$ANSIBLE_VAULT;/, {
    name: "a file that Ansible Vault encrypted",
    remedy: "decrypt it first: ansible-vault decrypt FILE",
  }],
  [/^U2FsdGVkX1[89+/]/, {
    name: "a file that openssl enc encrypted, in base64",
    remedy: "decrypt it first",
  }],
  [/^(?:MIME-Version|Content-Type):/i, {
    name: "a mail (MIME)",
    remedy: {
      certificate:
        "take the certificate of the signer out: openssl smime -pk7out -in FILE | openssl pkcs7 -print_certs -out certificates.pem",
    },
  }],
  [/^begin-base64 /, {
    name: "a file of uuencode",
    remedy: "decode it: sed '1d; /^====/d' FILE | base64 -d > out.der",
  }],
  [/^0{7,8}: 30 ?[0-9A-Fa-f]{2}/, {
    name: "a hex dump",
    remedy: "turn it back: xxd -r FILE > out.der",
  }],
  [/^0{7,8} {2}30 [0-9A-Fa-f]{2} /, {
    name: "a hex dump",
    remedy: "turn it back: sed 's/^[0-9a-f]* *//; s/|.*//' FILE | xxd -r -p > out.der",
  }],
  [/^(?:RSA )?(?:Private-Key|Public-Key): \(|^Certificate( Request)?:\s+Data:|^0:d=0 /, {
    name: "what openssl prints for people (-text, asn1parse)",
    remedy: "give the file itself",
  }],
  [/\{\s*48\s*,\s*\d{1,3}\s*,/, {
    name: "an array of bytes of a program (C)",
    remedy: "take them out: tr -d '\\n' < FILE | sed 's/.*{//; s/}.*//' | tr , '\\n' | " +
      "xargs printf '%02x' | xxd -r -p > out.der",
  }],
  [/\{\s*0x[0-9A-Fa-f]{2}\s*,\s*0x/, {
    name: "an array of bytes of a program (C)",
    remedy: "take them out: grep -o '0x[0-9a-fA-F]\\{2\\}' FILE | cut -c3- | xxd -r -p > out.der",
  }],
  [/^LS0tLS1CRUdJTi[A-Za-z0-9+/=\s]+$/, {
    name: "PEM in base64",
    remedy: "decode it: base64 -d FILE > out.pem",
  }],
  [/^M[A-Z][A-Za-z0-9+/\s]{30,}={0,2}$/, {
    name: "base64 without the BEGIN and END lines of PEM",
    remedy: "decode it: base64 -d FILE > out.der",
  }],
  [/^M[A-Z][A-Za-z0-9_-]{30,}={0,2}$/, {
    name: "base64url, as JSON Web Tokens have it",
    remedy: "decode it: b=$(tr -d '=\\n' < FILE | tr _- /+); " +
      `printf '%s%.*s' "$b" $((-\${#b} & 3)) == | base64 -d > out.der`,
  }],
  [/^(?:0x)?30[:\s]?[0-9A-Fa-f][0-9A-Fa-f:\s]{30,}$/, {
    name: "DER as hexadecimal text",
    remedy: "decode it: tr -d ':[:space:]' < FILE | sed 's/^0x//' | xxd -r -p > out.der",
  }],
];

const FROM_REQUEST = "have it signed first, or sign it: issue --csr FILE --ca ca/ca.pem " +
  "--ca-key ca/ca.key.pem -o certificate.pem";
const MAKE_REQUEST = "csr --key FILE --subject CN=NAME -o request.csr";
const PRIVATE_KEY: Foreign = {
  name: "a private key",
  kind: "private key",
  remedy: {
    "certificate": "give the certificate that belongs to it",
    "signing request": `make one: ${MAKE_REQUEST}`,
    "public key": "take the public key out: openssl pkey -in FILE -pubout -out public.pem",
  },
};
const PUBLIC_KEY: Foreign = {
  name: "a public key",
  kind: "public key",
  remedy: {
    "private key": OTHER_HALF,
    "certificate": "give the certificate of that key",
    "signing request": "give the request that was signed with its private key",
  },
};
const PKCS1_PUBLIC_KEY: Foreign = {
  name: "a public key in PKCS#1",
  remedy: {
    "private key": OTHER_HALF,
    "public key": "convert it: openssl rsa -RSAPublicKey_in -in FILE -pubout -out public.pem",
  },
};
const CERTIFICATE: Foreign = {
  name: "a certificate",
  kind: "certificate",
  remedy: {
    "private key": OTHER_HALF,
    "signing request": `make one with its key: ${MAKE_REQUEST}`,
    "public key": "take its key out: openssl x509 -in FILE -pubkey -noout > public.pem",
  },
};
const REQUEST: Foreign = {
  name: "a signing request",
  kind: "signing request",
  remedy: {
    "private key": OTHER_HALF,
    "certificate": FROM_REQUEST,
    "public key": "take its key out: openssl req -in FILE -pubkey -noout > public.pem",
  },
};
/** OpenSSL 3 opens the ciphers of old containers only when it is asked to. */
const pkcs12 = (isOld: boolean): Foreign => {
  const command = `openssl pkcs12${isOld ? " -legacy" : ""} -in FILE`;
  return {
    name: "a PKCS#12 container",
    remedy: {
      "private key": `take the key out: ${command} -nocerts -nodes -out key.pem`,
      "certificate": `take the certificate out: ${command} -clcerts -nokeys -out certificate.pem`,
      "any": `take out what it holds: ${command} -nodes -out all.pem`,
    },
  };
};
/** pkcs-12PbeIds (RFC 7292) with RC4 or RC2: the bytes of their OIDs. */
const OLD_PKCS12 = /\x2A[^]\x48[^]\xF7\x0D\x01\x0C\x01[\x01\x02\x05\x06]/;
const TAKE_CERTIFICATE = "take the certificate out: openssl x509 -in FILE -out certificate.pem";
const pkcs7 = (form: "PEM" | "DER"): Foreign => {
  const command = `openssl pkcs7 ${
    form === "DER" ? "-inform DER " : ""
  }-in FILE -print_certs -out certificates.pem`;
  return {
    name: "a PKCS#7 container",
    remedy: {
      "private key": "it holds no private key",
      "certificate": `take the certificates out: ${command}`,
      "any": `take the certificates out: ${command}`,
    },
  };
};
const CMS: Foreign = {
  name: "a CMS message",
  remedy: {
    "private key": "it holds no private key",
    "certificate": "take out the certificates of one that is signed: " +
      "openssl cms -cmsout -inform PEM -in FILE -certsout certificates.pem -out /dev/null",
  },
};
const TPM2: Foreign = {
  name: "a key that only its TPM 2.0 can use",
  remedy: { "private key": `it cannot be converted; ${MAKE_KEY}` },
};
const DSA: Foreign = {
  name: "a DSA key",
  remedy: { "private key": `the device takes RSA and EC only; ${MAKE_KEY}` },
};
const CRL: Foreign = {
  name: "a list of revoked certificates (CRL)",
  remedy: { "certificate": "give the certificate itself", "private key": OTHER_HALF },
};

/** By the label of a PEM block. */
const LABELS: readonly (readonly [RegExp, Foreign])[] = [
  [/^(X509 )?CERTIFICATE$/, CERTIFICATE],
  [/^TRUSTED CERTIFICATE$/, {
    name: "a certificate with trust settings of OpenSSL",
    remedy: { certificate: TAKE_CERTIFICATE, any: TAKE_CERTIFICATE },
  }],
  [/^(NEW )?CERTIFICATE REQUEST$/, REQUEST],
  [/^OPENSSH PRIVATE KEY$/, OPENSSH],
  [/^TSS2 (PRIVATE KEY|KEY BLOB)$/, TPM2],
  [/^DSA PRIVATE KEY$/, DSA],
  [/^((RSA|EC|ENCRYPTED) )?PRIVATE KEY$/, PRIVATE_KEY],
  [/^PUBLIC KEY$/, PUBLIC_KEY],
  [/^RSA PUBLIC KEY$/, PKCS1_PUBLIC_KEY],
  [/^PKCS ?#?7( SIGNED DATA)?$/, pkcs7("PEM")],
  [/^CMS$/, CMS],
  [/^PKCS ?#?12$/, pkcs12(false)],
  [/ PARAMETERS$/, PARAMETERS],
  [/^X509 CRL$/, CRL],
  [/^PGP (PUBLIC|PRIVATE|SECRET) KEY BLOCK$/, PGP_KEY],
  [/^PGP /, PGP_MESSAGE],
  [/^AGE ENCRYPTED FILE$/, { name: "an age file", remedy: "decrypt it first: age -d FILE" }],
];

/** Of several blocks the one that is looked for counts, else the first that is not parameters. */
function pemFormat(text: string | undefined, wanted: Wanted | undefined): Foreign | undefined {
  const found = pemLabels(text ?? "").slice(0, MOST_LABELS)
    .flatMap((label) => LABELS.find(([pattern]) => pattern.test(label))?.[1] ?? []);
  const own = wanted && found.find(({ kind }) => kind === wanted);
  return own ?? found.find((each) => each !== PARAMETERS) ?? found[0];
}

/** The PEM labels that a reader of each kind takes from JSON. */
const JSON_LABELS: Readonly<Record<Wanted, RegExp>> = {
  "private key": /-----BEGIN ([A-Z0-9]+ )?PRIVATE KEY-----/,
  "certificate": /-----BEGIN CERTIFICATE-----/,
  "signing request": /-----BEGIN (NEW )?CERTIFICATE REQUEST-----/,
  "public key": /-----BEGIN PUBLIC KEY-----/,
};

function jsonFormat(text: string): Foreign | undefined {
  const members = membersOf(text);
  if (members === undefined) return undefined;
  if (members.some(({ path }) => path === ".kty")) {
    return { name: "a JSON Web Key", kind: "private key" };
  }
  const remedy: Partial<Record<Wanted | "any", string>> = {};
  for (const [wanted, label] of Object.entries(JSON_LABELS) as [Wanted, RegExp][]) {
    const found = members.find(({ value }) => label.test(value));
    if (found === undefined) continue;
    remedy[wanted] = `take the ${wanted} out: jq -r ${found.path} FILE > out.pem`;
    remedy.any ??= remedy[wanted];
  }
  const isAws = members.some(({ path }) => path === ".certificatePem");
  const what = remedy.any === undefined ? "JSON" : "JSON with PEM in it";
  return { name: isAws ? "JSON of AWS IoT with PEM in it" : what, remedy };
}

/** Levels of JSON that are looked into. */
const JSON_DEPTH = 4;
const MOST_MEMBERS = 1000;

/** The texts in JSON and their paths, as jq has them; undefined for what is neither object nor list. */
function membersOf(text: string): { readonly path: string; readonly value: string }[] | undefined {
  if (!/^[[{]/.test(text)) return undefined;
  let root: unknown;
  try {
    root = JSON.parse(text);
  } catch {
    return undefined;
  }
  const found: { path: string; value: string }[] = [];
  const visit = (value: unknown, path: string, depth: number) => {
    if (found.length >= MOST_MEMBERS) return;
    if (typeof value === "string") found.push({ path: path || ".", value });
    if (typeof value !== "object" || value === null || depth === JSON_DEPTH) return;
    for (const [name, member] of Object.entries(value)) {
      const step = Array.isArray(value) ? `[${name}]` : `.${name}`;
      if (/^(\[\d+\]|\.[A-Za-z_]\w*)$/.test(step) && !mayBeSecret(name)) {
        visit(member, path === "" && step.startsWith("[") ? `.${step}` : path + step, depth + 1);
      }
    }
  };
  visit(root, "", 0);
  return found;
}

/** Elements of a DER structure that are looked at. */
const MOST_ELEMENTS = 12;
const LETTERS: Readonly<Record<number, string>> = {
  [TAG.integer]: "i",
  [TAG.bitString]: "b",
  [TAG.octetString]: "o",
  [TAG.oid]: "d",
  [TAG.sequence]: "s",
  [TAG.utcTime]: "t",
  [TAG.generalizedTime]: "t",
  0xA0: "0",
};

/**
 * By the elements of a DER structure: i INTEGER, s SEQUENCE, o OCTET STRING, b BIT STRING, d OBJECT
 * IDENTIFIER, t a time, 0 [0], and - anything else.
 */
const SHAPES: readonly (readonly [RegExp, Foreign])[] = [
  [/^so$|^iso/, PRIVATE_KEY],
  [/^i{9}s?$/, PRIVATE_KEY],
  [/^io/, PRIVATE_KEY],
  [/^i{6}$/, DSA],
  [/^sb$/, PUBLIC_KEY],
  [/^ii$/, PKCS1_PUBLIC_KEY],
  [/^iii$/, PARAMETERS],
];
const SIGNED_SHAPES: readonly (readonly [RegExp, Foreign])[] = [
  [/^0?is{5}/, CERTIFICATE],
  [/^iss(0|$)/, REQUEST],
  [/^i?sst/, CRL],
];
const PKCS7_TYPES = "1.2.840.113549.1.7.";
const TPM_TYPES = "2.23.133.10.1.";
const PKCS12_VERSION = 3;

function derFormat(file: Uint8Array): Foreign | undefined {
  try {
    const fields = enterDer(readDer(file, "file"));
    const shape = shapeOf({ ...fields });
    const first = nextDer(fields);
    if (first.tag === TAG.oid) {
      const oid = oidOf(first);
      if (oid.startsWith(PKCS7_TYPES)) return pkcs7("DER");
      return oid.startsWith(TPM_TYPES) ? TPM2 : undefined;
    }
    if (/^iss?$/.test(shape) && contentOf(first)[0] === PKCS12_VERSION) {
      return pkcs12(OLD_PKCS12.test(LATIN1.decode(file.subarray(0, MOST_READ))));
    }
    const [shapes, found] = /^ssb/.test(shape)
      ? [SIGNED_SHAPES, shapeOf(enterDer(first))]
      : [SHAPES, shape];
    return shapes.find(([pattern]) => pattern.test(found))?.[1];
  } catch (error) {
    if (error instanceof SecureCertError) return undefined;
    throw error;
  }
}

function shapeOf(cursor: DerCursor): string {
  let shape = "";
  while (cursor.at < cursor.end && shape.length < MOST_ELEMENTS) {
    shape += LETTERS[nextDer(cursor).tag] ?? "-";
  }
  return shape;
}
