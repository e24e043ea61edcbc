/**
 * Takes out of texts what must not leave the machine: tokens, private keys, and what users wrote. Keys and names are
 * users' data, and messages have them in quotes. In their place comes the beginning of a hash, so that the same name
 * can be seen to come twice.
 */
import { createHash } from "node:crypto"

/** The beginning of the SHA-256: enough to tell names apart, and nothing to go back from. */
export const hashed = (text: string): string => `#${createHash("sha256").update(text).digest("hex").slice(0, 8)}`

const token = /fdb_[A-Za-z0-9._-]+/g
const bearer = /(authorization["']?\s*[:=]\s*["']?(?:bearer|basic)\s+)[^\s"']+/gi
const privateKey = /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g
/** The beginning of a P-256 and of an Ed25519 key in PKCS #8, should one come without its frame. */
const bareKey = /(?:MIGHAgEAMBMGByqGSM49|MC4CAQAwBQYDK2Vw)[A-Za-z0-9+/=]*/g
/** What people choose for other programs' secrets, as `NAME=VALUE` or JSON. */
const password = /((?:password|passwd|secret|credential|api[_-]?key)["']?\s*[:=]\s*["']?)[^\s"',}]+/gi

/** A text without tokens, keys and passwords. */
export const withoutSecrets = (text: string): string =>
  text
    .replace(privateKey, "[private key]")
    .replace(bareKey, "[private key]")
    .replace(token, "[token]")
    .replace(bearer, "$1[token]")
    .replace(password, "$1[secret]")

/** What nodes and doctor say, which names a user where that may not do something. */
export const withoutNames = (text: string): string =>
  withoutSecrets(text).replace(/[A-Za-z0-9._-]+(?= may not )/g, (name) => hashed(name))

const quoted = /"((?:[^"\\]|\\.)+)"/g

/** A message without what is in quotes. */
const withoutQuoted = (text: string): string => text.replace(quoted, (_, inner: string) => `"${hashed(inner)}"`)

/** Fields of a log line whose texts FlareDB itself writes, from a few that it knows. */
const ownFields = new Set(["level", "timestamp", "fiberId", "node", "cluster", "role", "outcome", "operation"])

const redactValue = (value: unknown, name: string): unknown => {
  if (typeof value === "string") return ownFields.has(name) ? value : withoutQuoted(value)
  if (Array.isArray(value)) {
    // The audit log says which keys were touched.
    return name === "ranges" || name === "keys" ? value.length : value.map((each) => redactValue(each, name))
  }
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([field, each]) => [field, redactValue(each, field)]))
}

/** A line of a log, JSON or not, without secrets and without what is in quotes. */
export const redactLogLine = (line: string): string => {
  const text = withoutSecrets(line)
  if (!text.startsWith("{")) return withoutQuoted(text)
  try {
    return JSON.stringify(redactValue(JSON.parse(text), ""))
  } catch {
    // Where one text ends and the next begins cannot be said of it.
    return `[a line of ${text.length} characters that is no whole JSON]`
  }
}

/** Metrics have names of users and of what users made as labels; other labels are FlareDB's own words. */
export const redactMetrics = (page: string): string =>
  withoutSecrets(page).replace(
    /([{,](?:name|user|queue|entity|workflow|key|prefix)=)"((?:[^"\\]|\\.)*)"/g,
    (_, label: string, value: string) => `${label}"${hashed(value)}"`
  )

/**
 * The parts of `/status` that the node itself writes. What a program adds, the actors' overview for example, has names
 * that users chose: of those only the figures stay.
 */
export const redactStatus = (value: unknown, inSection = false): unknown => {
  if (typeof value === "string") return inSection ? hashed(value) : withoutSecrets(value)
  if (Array.isArray(value)) return value.map((each) => redactStatus(each, inSection))
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([field, each]) => [
      field,
      redactStatus(each, inSection || field === "actors" || field === "sections")
    ])
  )
}

/** Variables that hold secrets; whether they are set is worth knowing, and nothing else. */
const isSecretVariable = (name: string): boolean => /TOKEN$|PASSWORD|SECRET|HEADERS$/.test(name)

/** The `FLAREDB_` variables of an environment. */
export const redactEnvironment = (env: NodeJS.ProcessEnv): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Object.entries(env)
      .filter(([name, value]) => name.startsWith("FLAREDB_") && value !== undefined)
      .map(([name, value = ""]) => [
        name,
        isSecretVariable(name) ? value === "" ? "(empty)" : "(set)" : withoutSecrets(value)
      ])
      .sort(([a = ""], [b = ""]) => a < b ? -1 : 1)
  )
