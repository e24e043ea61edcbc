/**
 * Where each service keeps its rows:
 *
 * ```
 * <prefix> kv/<store>/<key>              KeyValueStore
 * <prefix> p/<store>/<key or its hash>   BackingPersistence
 * <prefix> q/… qc/… qx/… qv              PersistedQueueStore, see queue/Layout.ts
 * <prefix> l/<store>/<kind>/<key or its hash>   RateLimiterStore
 * <prefix> ej/… el/… ex/…                event journal and event logs, see eventlog/Layout.ts
 * <prefix> x/…                           LongLived
 * <prefix> clock                         LogTime
 * <prefix> migration/…                   how far a copy from SQL is, see migration/Position.ts
 * ```
 *
 * A name is encoded, so that it holds no slash: the keys of one name never lie within those of another. What comes last
 * in a key needs no encoding.
 */
import { createHash } from "node:crypto"

/** The prefix of every key of `flaredb/actors`, unless an option says otherwise. */
export const defaultPrefix = "fx/"

/** Longest part of a key that a caller gives, in bytes. Where keys are not listed, a longer one is kept as its hash. */
export const maxOwnPartBytes = 1_024

/** What `encodeURIComponent` leaves as it is. Most names, and all ids that are made here, have nothing else. */
const isPlain = /^[\w.!~*'()-]*$/

/**
 * A name as one part of a key. A string that is no Unicode text keeps its lone surrogates apart from each other and
 * from every other name.
 */
export const encodeName = (name: string): string =>
  isPlain.test(name)
    ? name
    : name.isWellFormed()
    ? encodeURIComponent(name)
    : [...name].map((character) =>
      character.isWellFormed() ? encodeURIComponent(character) : `%u${character.charCodeAt(0).toString(16)}`
    ).join("")

/** The name that {@link encodeName} made a part of a key of. What no name was made of is given as it is. */
export const decodeName = (part: string): string => {
  const [first = "", ...surrogates] = part.split("%u")
  try {
    return surrogates.reduce(
      (name, piece) =>
        name + String.fromCharCode(Number.parseInt(piece.slice(0, 4), 16)) + decodeURIComponent(piece.slice(4)),
      decodeURIComponent(first)
    )
  } catch {
    return part
  }
}

/** A caller's key as the last part of a key, whatever its length and characters. It cannot be turned back. */
export const encodeOwnPart = (key: string): string => {
  // Each of its characters is one byte.
  const encoded = encodeName(key)
  return encoded.length <= maxOwnPartBytes
    ? `=${encoded}`
    : `#${createHash("sha256").update(encoded).digest("hex")}`
}

/** The key that {@link encodeOwnPart} made a part of; `undefined` for one that is kept as its hash. */
export const decodeOwnPart = (part: string): string | undefined =>
  part.startsWith("=") ? decodeName(part.slice(1)) : undefined
