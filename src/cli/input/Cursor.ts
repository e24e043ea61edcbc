/** The key that a scan goes on behind, as flags that can be pasted into a shell. */
import type { Encoding } from "./Encoding.ts"
import { written } from "./Encoding.ts"

/** Characters that no shell does anything with. */
const plain = /^[\w/.:=@%+,][\w/.:=@%+,-]*$/

/** Control characters do not survive a terminal, and a leading dash is a flag. */
const awkward = /^-|^$|\p{C}|[\u2028\u2029]/u

/** `--cursor KEY`. Somebody else chose the key: nothing in it may mean anything to a shell. */
export const cursorFlags = (key: Uint8Array, asked: Encoding): string => {
  const { encoding, text } = written(key, asked)
  if (awkward.test(text)) return cursorFlags(key, "base64") + (asked === "base64" ? "" : " --cursor-encoding base64")
  const argument = plain.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
  return `--cursor ${argument}${encoding === asked ? "" : ` --cursor-encoding ${encoding}`}`
}
