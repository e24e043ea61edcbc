// What the command line was given, byte for byte, in JavaScript that any Node can parse. Node makes text of it, and
// bytes that are no UTF-8 become U+FFFD: two names would be one. Only here are the bytes still known, before another
// program takes the process over.
import { readFileSync } from "node:fs"

const replacement = "\ufffd"

/** The strings of a file of /proc, each of which ends with a NUL; undefined where there is no such file. */
const stringsOf = (path) => {
  let bytes
  try {
    bytes = readFileSync(path)
  } catch {
    return undefined
  }
  const strings = []
  for (let start = 0; start < bytes.length;) {
    const at = bytes.indexOf(0, start)
    const end = at < 0 ? bytes.length : at
    strings.push(bytes.subarray(start, end))
    start = end + 1
  }
  return strings
}

const isText = (bytes) => Buffer.from(bytes.toString("utf8"), "utf8").equals(bytes)

/** The bytes for people: what is not plain ASCII as \xHH. */
const shown = (bytes) => {
  const beginning = [...bytes.subarray(0, 40)].map((byte) =>
    byte >= 32 && byte < 127 && byte !== 92
      ? String.fromCharCode(byte)
      : `\\x${byte.toString(16).padStart(2, "0")}`
  )
  return `${beginning.join("")}${bytes.length > 40 ? "…" : ""}`
}

const advice =
  "give a key or a prefix as hex with --key-encoding hex, a value with --value-encoding hex, or a value from " +
  "standard input with -"

const wantsJson = (args) => {
  const end = args.indexOf("--")
  return (end < 0 ? args : args.slice(0, end)).some((arg) => /^--json(=(true|yes|on|1|y))?$/i.test(arg))
}

/** The line on standard error, in the form that every error of the command line has. */
export const errorLine = (message, args) =>
  wantsJson(args) ? JSON.stringify({ error: { tag: "WrongUsage", message, exitCode: 2 } }) : `flaredb: ${message}`

/** Why the arguments cannot be taken; undefined when they can. */
export const argumentProblem = (args) => {
  const given = stringsOf("/proc/self/cmdline")
  if (given === undefined || given.length < args.length) {
    const at = args.findIndex((arg) => arg.includes(replacement))
    return at < 0
      ? undefined
      : `argument ${at + 1} is not UTF-8, or has the character U+FFFD, which cannot be told apart here; ${advice}`
  }
  const bytes = given.slice(given.length - args.length)
  const at = bytes.findIndex((one) => !isText(one))
  return at < 0 ? undefined : `argument ${at + 1} is not UTF-8: ${shown(bytes[at])}; ${advice}`
}

/** Why the environment cannot be taken; undefined when it can. Variables of others are none of our business. */
export const variableProblem = () => {
  const wrong = (stringsOf("/proc/self/environ") || []).find((one) =>
    one.subarray(0, 8).toString("latin1") === "FLAREDB_" && !isText(one)
  )
  return wrong === undefined ? undefined : `the variable ${shown(wrong)} is not UTF-8; give it as UTF-8 text`
}
