import type { Bytes } from "../../bytes/pack.ts";
import { CURVES, type EcCurve } from "./curves.ts";
import { type EcParts, encodePkcs8 } from "./encoding.ts";

interface Template {
  /** PKCS#8 of a key whose scalar and point are zeros. */
  readonly pkcs8: Bytes;
  readonly scalarAt: number;
  readonly pointAt: number;
}

const templates = new Map<EcCurve, Template>();

/**
 * The parts of an EC key in the canonical PKCS#8 of {@linkcode encodePkcs8}, by their place, which
 * costs no parsing.
 *
 * @param pkcs8 A key just exported by WebCrypto.
 * @param algorithm Its algorithm.
 * @returns The parts; undefined for any other kind or encoding.
 */
export function ecPartsOf(pkcs8: Bytes, algorithm: object): EcParts | undefined {
  const { namedCurve } = algorithm as { namedCurve?: string };
  if (namedCurve === undefined || !Object.hasOwn(CURVES, namedCurve)) return undefined;
  const curve = namedCurve as EcCurve;
  const { pkcs8: frame, scalarAt, pointAt } = templateOf(curve);
  if (pkcs8.length !== frame.length) return undefined;
  const scalarEnd = scalarAt + CURVES[curve].size;
  for (let at = 0; at <= pointAt; at++) {
    if (at === scalarAt) at = scalarEnd;
    if (pkcs8[at] !== frame[at]) return undefined;
  }
  const [scalar, point] = [pkcs8.slice(scalarAt, scalarEnd), pkcs8.slice(pointAt)];
  return { type: "ec", curve, scalar, point };
}

function templateOf(curve: EcCurve): Template {
  const known = templates.get(curve);
  if (known !== undefined) return known;
  const { size } = CURVES[curve];
  const scalar = new Uint8Array(size);
  const point = new Uint8Array(1 + 2 * size);
  point[0] = 4;
  const pkcs8 = encodePkcs8({ type: "ec", curve, scalar, point });
  const marked = encodePkcs8({ type: "ec", curve, scalar: scalar.map(() => 0xA5), point });
  const scalarAt = marked.findIndex((byte, at) => byte !== pkcs8[at]);
  const template = { pkcs8, scalarAt, pointAt: pkcs8.length - point.length };
  templates.set(curve, template);
  return template;
}
