/** How big the values of the DS peripheral are; they follow from the longest RSA key. */
export interface DsLayout {
  /** The longest RSA key in bits. */
  readonly maxRsaBits: 3072 | 4096;
  /** Bytes of the ciphertext: three operands of `maxRsaBits` and 48 bytes of check values. */
  readonly ciphertextLength: number;
  /** Bytes of the DS data: length word 4, initialisation vector 16, ciphertext. */
  readonly dataLength: number;
  /** The RSA key sizes in bits that ESP-IDF accepts. */
  readonly rsaBits: readonly number[];
}

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
