/** Secrets in a line of text: tokens whose checksum is right, and private keys. */
import { parseToken } from "../../src/kv/model/access/Token.ts"

export type SecretKind = "private key" | "token"

/** Digits behind the name of a token: its secret and its checksum. */
const digits = 49

/** The longest name of a user, see `src/kv/model/access/AccessLimits.ts`. */
const maxNameLength = 64

// oxlint-disable-next-line no-control-regex
const colours = /\u001b\[[0-9;]*m/g

/** A PEM block, or the beginning of what is in one: a P-256 or an Ed25519 key in PKCS #8. */
const keys = /PRIVATE KEY-----|MIGHAgEAMBMGByqGSM49|MC4CAQAwBQYDK2Vw/

/** Whether the text begins with a token, however it goes on. */
const beginsWithToken = (text: string): boolean => {
  const run = /^[A-Za-z0-9._-]*/.exec(text)?.[0] ?? ""
  for (let end = run.indexOf("_", 4); end >= 0 && end <= 4 + maxNameLength; end = run.indexOf("_", end + 1)) {
    const candidate = run.slice(0, end + 1 + digits)
    if (candidate.length === end + 1 + digits && "secret" in parseToken(candidate)) return true
  }
  return false
}

const hasToken = (line: string): boolean => {
  for (let at = line.indexOf("fdb_"); at >= 0; at = line.indexOf("fdb_", at + 1)) {
    if (beginsWithToken(line.slice(at, at + 4 + maxNameLength + 1 + digits))) return true
  }
  return false
}

/** What kinds of secrets are in a line; what they are is not told, so that a report of them is no leak. */
export const secretsIn = (line: string): ReadonlyArray<SecretKind> => {
  const text = line.replace(colours, "")
  const found: Array<SecretKind> = []
  if (hasToken(text)) found.push("token")
  if (keys.test(text)) found.push("private key")
  return found
}
