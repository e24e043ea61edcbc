/**
 * Where the random bytes of what a simulation runs come from: identities, secrets of sessions, names that tell
 * processes apart. A simulation gives others, so that its runs can be repeated.
 */
import { Context } from "effect"
import { randomBytes } from "node:crypto"

/** So many bytes, in memory of their own. */
export const RandomBytes: Context.Reference<(size: number) => Uint8Array> = Context.Reference<
  (size: number) => Uint8Array
>("flaredb/RandomBytes", { defaultValue: () => (size) => Uint8Array.from(randomBytes(size)) })
