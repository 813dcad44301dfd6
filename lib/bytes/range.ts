/**
 * A number that a field of the format can hold.
 *
 * @param value The number.
 * @param max The largest one the field can hold.
 * @param what What it is, as the message starts, such as `Cannot encode TLV: flags`.
 * @returns The number.
 * @throws {RangeError} when it is not an integer from 0 to `max`.
 */
export function inRange(value: number, max: number, what: string): number {
  if (Number.isInteger(value) && value >= 0 && value <= max) return value;
  throw new RangeError(`${what} must be 0 to ${max}, is ${value}`);
}
