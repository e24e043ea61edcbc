/** The key in the path of a request: everything behind `/v1/keys/`, percent-encoded, slashes too or as they are. */
import { InvalidArgument } from "../../FlareDbError.ts"
import { keyProblem } from "../../kv/model/Limits.ts"
import type { Encoding } from "./Entries.ts"
import { bytesIn } from "./Entries.ts"

const prefix = "/v1/keys/"

/**
 * The key that a path names. It is cut out of the URL as it came, because a router takes slashes for separators: `a//b`
 * and `a/` are keys. The guard of the port sees to it that the path before the key is written in one way.
 */
export const keyInPath = (url: string, encoding: Encoding): Uint8Array | InvalidArgument => {
  const path = url.split("?", 1)[0] as string
  const written = path.startsWith(prefix) ? path.slice(prefix.length) : ""
  let text: string
  try {
    text = decodeURIComponent(written)
  } catch {
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
