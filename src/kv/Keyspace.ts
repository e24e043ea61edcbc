/**
 * Where everything lies in the state store.
 *
 * | first byte | what                                                     |
 * | ---------- | -------------------------------------------------------- |
 * | `00`       | the store's own: the applied point                       |
 * | `01`       | figures about the whole: `01 "revision"`                 |
 * | `10`       | the users' keys, each behind this byte (`KeyRecord.ts`)  |
 *
 * All else is free for later formats.
 */

const metaByte = 0x01
const keyByte = 0x10

/** Holds the revision of the last write: u64, absent before the first. */
export const revisionKey: Uint8Array = Uint8Array.of(metaByte, ...new TextEncoder().encode("revision"))

/** Where the record of a user's key lies. */
export const recordKey = (key: Uint8Array): Uint8Array => {
  const stored = new Uint8Array(1 + key.byteLength)
  stored[0] = keyByte
  stored.set(key, 1)
  return stored
}

/** The user's key of a stored one; a view. */
export const userKey = (stored: Uint8Array): Uint8Array => stored.subarray(1)

/** The range of stored keys that begin with a user's prefix; the end is not included. */
export const prefixRange = (prefix: Uint8Array): { readonly gte: Uint8Array; readonly lt: Uint8Array } => {
  const gte = recordKey(prefix)
  return { gte, lt: after(gte) }
}

/** The first key behind all that begin with `prefix`; there is one, because stored keys begin with a byte below `ff`. */
const after = (prefix: Uint8Array): Uint8Array => {
  let length = prefix.byteLength
  while (prefix[length - 1] === 0xff) length -= 1
  const end = prefix.slice(0, length)
  end[length - 1] = (end[length - 1] as number) + 1
  return end
}

/** The first key behind `key`. */
export const successor = (key: Uint8Array): Uint8Array => {
  const next = new Uint8Array(key.byteLength + 1)
  next.set(key)
  return next
}
