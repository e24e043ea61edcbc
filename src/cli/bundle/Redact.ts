/**
 * Takes out of texts what must not leave the machine: tokens, private keys, and what users wrote. Keys and names are
 * users' data, and messages have them in quotes. In their place comes the beginning of a hash, so that the same name
 * can be seen to come twice.
 */
import { createHash } from "node:crypto"
import { unknownVariables } from "../../config/UnknownVariables.ts"
import { StatusDocument } from "../../protocol/NodeReport.ts"

/** The beginning of the SHA-256: enough to tell names apart, and nothing to go back from. */
export const hashed = (text: string): string => `#${createHash("sha256").update(text).digest("hex").slice(0, 8)}`

const token = /fdb_[A-Za-z0-9._-]+/g
/** Whatever a header with credentials has: a scheme and what follows it, or all of its value. */
const credentialsHeader =
  /((?:proxy-)?authorization["']?\s*[:=]\s*["']?(?:(?:bearer|basic|digest|negotiate)\s+)?)(?!\[token\])[^\s"',}]+/gi
const cookie = /((?:set-)?cookie["']?\s*[:=]\s*["']?)[^"'\r\n]+/gi
const privateKey = /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g
const endOfKey = /-----END [A-Z ]*PRIVATE KEY-----/
/** The beginning of a P-256 and of an Ed25519 key in PKCS #8, and of a P-256 in SEC 1, without a frame. */
const bareKey = /(?:MIGHAgEAMBMGByqGSM49|MC4CAQAwBQYDK2Vw|MHcCAQEEI)[A-Za-z0-9+/=]*/g
/** A user with a password, or a token, in front of the host of a URL. */
const inAddress = /([a-z][a-z0-9+.-]{0,20}:\/\/)[^\s/?#@"']+@/gi

/** What people call a secret, with the rest of the name of a field, a variable or a parameter of a URL. */
const secretName =
  "(?:passw|passphrase|pwd|secret|credential|api[_-]?key|private[_-]?key|session[_-]?id|token)[\\w-]{0,40}"
const isSecretName = new RegExp(secretName, "i")
/** Names that have such a word in them and hold a path or a count. */
const isNoSecret = /(?:file|path|dir|count|total|bytes|seconds|ms)$/i
const secret = new RegExp(
  `(${secretName})(["']?\\s{0,8}[:=]\\s{0,8})("(?:[^"\\\\]|\\\\.)*"|'[^']*'|[^\\s"',}&;]+)`,
  "gi"
)
const parameter = /([?&](?:sig|signature|auth|key|code)=)[^\s&"']+/gi

/** A text whose first line may be in the middle of a key: what is before the end of that goes. */
const withoutRestOfKey = (text: string): string => {
  const [end] = endOfKey.exec(text) ?? []
  return end === undefined ? text : `[private key]${text.slice(text.indexOf(end) + end.length)}`
}

/** A text without tokens, keys and passwords. */
export const withoutSecrets = (text: string): string =>
  withoutRestOfKey(text.replace(privateKey, "[private key]"))
    .replace(bareKey, "[private key]")
    .replace(token, "[token]")
    .replace(inAddress, "$1[secret]@")
    .replace(credentialsHeader, "$1[token]")
    .replace(cookie, "$1[secret]")
    .replace(parameter, "$1[secret]")
    .replace(secret, (all, name: string, between: string, value: string) => {
      if (isNoSecret.test(name) || value === "[token]") return all
      const quote = /^["']/.exec(value)?.[0] ?? ""
      return `${name}${between}${quote}[secret]${quote}`
    })

/** What nodes and doctor say, which names a user where that may not do something. */
export const withoutNames = (text: string): string =>
  withoutSecrets(text).replace(/(?<![^\s":])[^\s":]+(?= may not )/g, (name) => hashed(name))

/** Where the text that begins behind the quote at `from` ends; the end of all where it is not closed. */
const closing = (text: string, from: number): number => {
  for (let at = from + 1; at < text.length; at++) {
    if (text[at] === "\\") at += 1
    else if (text[at] === "\"") return at
  }
  return text.length
}

/** A message without what is in quotes. No expression: those take the square of the time for quotes without an end. */
const withoutQuoted = (text: string): string => {
  const parts: Array<string> = []
  let done = 0
  for (let open = text.indexOf("\""); open >= 0; open = text.indexOf("\"", done)) {
    const end = closing(text, open)
    const inner = text.slice(open + 1, end)
    parts.push(text.slice(done, open), inner === "" ? "\"\"" : `"${hashed(inner)}"`)
    done = end + 1
  }
  return parts.join("") + text.slice(done)
}

/** A line that is longer is no line of a node's. */
const maxLineChars = 64 * 1024

/** Fields of a log line whose texts FlareDB itself writes, from a few that it knows. */
const ownFields = new Set(["level", "timestamp", "time", "fiberId", "node", "cluster", "role", "outcome", "operation"])

/** Fields whose whole text is a user's: the name in the audit log, and what programs note beside their lines. */
const usersFields = "name|user|caller|owner|holder|key|prefix|queue|entity|entityId|workflow|executionId|primaryKey"
const isUsersField = new RegExp(`^(?:${usersFields})$`)
const isCredentials = /^(?:proxy-authorization|authorization|cookie|set-cookie)$/i
/** The same in a line that is no JSON. */
const usersText = new RegExp(`((?:^|\\s)(?:${usersFields})=)([^\\s"]+)`, "g")

const redactText = (value: string, field: string): string => {
  if (ownFields.has(field)) return value
  if (isCredentials.test(field) || (isSecretName.test(field) && !isNoSecret.test(field))) return "[secret]"
  // A dash is how the audit log writes that there is no name.
  if (isUsersField.test(field)) return value === "-" ? value : hashed(value)
  return withoutQuoted(withoutNames(value))
}

const redactValue = (value: unknown, name: string): unknown => {
  if (typeof value === "string") return redactText(value, name)
  if (Array.isArray(value)) {
    // The audit log says which keys were touched.
    return name === "ranges" || name === "keys" ? value.length : value.map((each) => redactValue(each, name))
  }
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([field, each]) => [field, redactValue(each, field)]))
}

/** A line of a log, JSON or not, without secrets and without what is in quotes. */
export const redactLogLine = (line: string): string => {
  if (line.length > maxLineChars) return `[a line of ${line.length} characters]`
  if (!line.startsWith("{")) {
    return withoutQuoted(withoutNames(line)).replace(
      usersText,
      (_, field: string, value: string) => `${field}${hashed(value)}`
    )
  }
  try {
    return JSON.stringify(redactValue(JSON.parse(line), ""))
  } catch {
    // Where one text ends and the next begins cannot be said of it.
    return `[a line of ${line.length} characters that is no whole JSON]`
  }
}

/** Metrics have names of users and of what users made as labels; other labels are FlareDB's own words. */
export const redactMetrics = (page: string): string =>
  withoutSecrets(page).replace(
    /([{,](?:name|user|queue|entity|workflow|key|prefix)=)"((?:[^"\\]|\\.)*)"/g,
    (_, label: string, value: string) => `${label}"${hashed(value)}"`
  )

/** JSON with each text replaced by what `redact` makes of it. */
const withTexts = (value: unknown, redact: (text: string) => string): unknown => {
  if (typeof value === "string") return redact(value)
  if (Array.isArray(value)) return value.map((each) => withTexts(each, redact))
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([field, each]) => [field, withTexts(each, redact)]))
}

/** JSON that the node itself writes: its report, and what it sees inside. */
export const redactReport = (value: unknown): unknown => withTexts(value, withoutSecrets)

/**
 * `/status`: what the node itself writes, and sections of programs, the actors' overview for example. A section is a
 * field of any other name, and has names that users chose: of it only the figures stay.
 */
export const redactStatus = (value: unknown): unknown =>
  typeof value !== "object" || value === null
    ? redactReport(value)
    : Object.fromEntries(
      Object.entries(value).map(([field, each]) => [
        field,
        withTexts(each, Object.hasOwn(StatusDocument.fields, field) ? withoutSecrets : hashed)
      ])
    )

/**
 * The `FLAREDB_` variables of an environment. Those that are no setting may hold anything: of them, and of those with
 * secrets, whether they are set is worth knowing, and nothing else.
 */
export const redactEnvironment = (env: NodeJS.ProcessEnv): Readonly<Record<string, string>> => {
  const unknown = new Set(unknownVariables(env))
  const isHidden = (name: string) => unknown.has(name) || (isSecretName.test(name) && !isNoSecret.test(name))
  return Object.fromEntries(
    Object.entries(env)
      .filter(([name, value]) => name.startsWith("FLAREDB_") && value !== undefined)
      .map(([name, value = ""]) => [
        name,
        isHidden(name) ? value === "" ? "(empty)" : "(set)" : withoutSecrets(value)
      ])
      .sort(([a = ""], [b = ""]) => a < b ? -1 : 1)
  )
}
