/**
 * What a device needs to prove who it is, the bytes as an older layout stores them. NVS holds PEM text
 * only; what is decoded ends in the NUL that PEM has on flash.
 *
 * @category cust_flash and NVS
 */
export interface Credentials {
  /** The device certificate: DER, or PEM with its NUL. */
  readonly deviceCert?: Uint8Array;
  /** The CA certificate: DER, or PEM with its NUL. */
  readonly caCert?: Uint8Array;
  /** The private key in plaintext: DER, or PEM with its NUL. */
  readonly privateKey?: Uint8Array;
  /** In the place of a private key, an RSA key encrypted for the DS peripheral. */
  readonly ds?: {
    /** The encrypted key: 1584 bytes on chips with operands of 4096 bits, 1200 with 3072 bits. */
    readonly ciphertext: Uint8Array;
    /** The initialisation vector, 16 bytes. */
    readonly iv: Uint8Array;
    /** Size of the RSA key in bits, 0 to 65535. */
    readonly rsaLengthBits: number;
    /** The n of the KEYn that holds the HMAC key, 0 to 255. */
    readonly efuseKeyId: number;
  };
}

/** An RSA key encrypted for the DS peripheral, and which eFuse key opens it. */
export type StoredDs = NonNullable<Credentials["ds"]>;
