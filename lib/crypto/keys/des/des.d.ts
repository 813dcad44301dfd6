/** Types of the part of des.js that deps.ts re-exports. */
interface Cipher {
  update(data: Uint8Array): number[];
  final(): number[];
}
interface CipherOptions {
  readonly type: "encrypt" | "decrypt";
  readonly key: Uint8Array;
  readonly iv: Uint8Array;
}
declare const des: {
  readonly EDE: unknown;
  readonly CBC: { instantiate(base: unknown): { create(options: CipherOptions): Cipher } };
};
export default des;
