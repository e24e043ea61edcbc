/** The key in the path of a request: everything behind `/v1/keys/`, percent-encoded, slashes too or as they are. */
import { InvalidArgument } from "../../FlareDbError.ts"
import { keyProblem } from "../../kv/model/Limits.ts"
import type { Encoding } from "./Entries.ts"
import { bytesIn } from "./Entries.ts"

const prefix = "/v1/keys/"

/** The text that percent signs encode; `undefined` when it is none, and would be read as another one. */
export const decodedText = (encoded: string): string | undefined => {
  try {
    return decodeURIComponent(encoded)
  } catch {
    return undefined
  }
}

/**
 * The key that a path names. It is cut out of the URL as it came, because a router takes slashes for separators: `a//b`
 * and `a/` are keys. The guard of the port sees to it that the path before the key is written in one way.
 */
export const keyInPath = (url: string, encoding: Encoding): Uint8Array | InvalidArgument => {
  const path = url.split("?", 1)[0] as string
  const written = path.startsWith(prefix) ? path.slice(prefix.length) : ""
  const text = decodedText(written)
  if (text === undefined) {
    return new InvalidArgument({
      field: "key",
      problem: "has a percent sign that begins no encoded UTF-8; a key of other bytes is named with keyEncoding=base64"
    })
  }
  const key = bytesIn("key", text, encoding)
  if (key instanceof InvalidArgument) return key
  const problem = keyProblem(key.byteLength)
  return problem === undefined ? key : new InvalidArgument({ field: problem.field, problem: problem.problem })
}
