import type { Chip } from "./chip.ts";

/** How big the values of the DS peripheral are; they follow from the longest RSA key. */
export type DsLayout = NonNullable<Chip["ds"]>;

/** The DS peripheral of chips with operands of 3072 bits (FORMAT: DS parameters, per chip). */
export const DS_3072: DsLayout = {
  maxRsaBits: 3072,
  ciphertextLength: 1200,
  dataLength: 1220,
  rsaBits: [1024, 2048, 3072],
};

/** The DS peripheral of chips with operands of 4096 bits (FORMAT: DS parameters, per chip). */
export const DS_4096: DsLayout = {
  maxRsaBits: 4096,
  ciphertextLength: 1584,
  dataLength: 1604,
  rsaBits: [1024, 2048, 3072, 4096],
};

/** The two layouts there are. */
export const DS_LAYOUTS: readonly DsLayout[] = [DS_4096, DS_3072];

/**
 * The layout that a ciphertext has.
 *
 * @param ciphertextLength Length of the ciphertext in bytes.
 * @returns The layout, or undefined when no chip has ciphertexts of this length.
 */
export function dsLayoutOfCiphertext(ciphertextLength: number): DsLayout | undefined {
  return DS_LAYOUTS.find((layout) => layout.ciphertextLength === ciphertextLength);
}
