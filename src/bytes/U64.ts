/** Big-endian integers of 32 and 64 bits in bytes, so that byte order is the order of the numbers. */

const two32 = 2 ** 32

/** The lowest 32 bits of a number. */
export const writeU32 = (target: Uint8Array, value: number, at: number): void => {
  target[at] = value >>> 24
  target[at + 1] = value >>> 16
  target[at + 2] = value >>> 8
  target[at + 3] = value
}

export const writeU64 = (target: Uint8Array, value: number, at: number): void => {
  writeU32(target, Math.floor(value / two32), at)
  writeU32(target, value, at + 4)
}

export const fromHalves = (high: number, low: number): number => high * two32 + low

/** The integer at `at`; above the safe ones it is not exact. */
export const readU64 = (view: DataView, at: number): number => fromHalves(view.getUint32(at), view.getUint32(at + 4))

/** The lowest 32 bits of a number. A view of the bytes would cost more than all that is read with it. */
export const readU32 = (bytes: Uint8Array, at: number): number =>
  ((bytes[at] as number) << 24 | (bytes[at + 1] as number) << 16 | (bytes[at + 2] as number) << 8 |
    (bytes[at + 3] as number)) >>> 0

/** The integer at `at`, or -1 when it is not a safe one. */
export const readSafeU64 = (bytes: Uint8Array, at: number): number => {
  const value = fromHalves(readU32(bytes, at), readU32(bytes, at + 4))
  return Number.isSafeInteger(value) ? value : -1
}
