/** Commands and queries in words, for refusals and for the audit log: keys, names and ids, and never a value. */
import { compareBytes } from "../bytes/Bytes.ts"
import type { KeyRange } from "../bytes/KeyRange.ts"
import { singleKey } from "../bytes/KeyRange.ts"
import type { Described } from "../machine/MachineAccess.ts"
import { printableJson } from "../Printable.ts"
import type { AccessCommand } from "./model/access/AccessCommand.ts"
import { touches } from "./model/access/Touches.ts"
import type { Command } from "./model/Command.ts"
import type { Query } from "./model/Query.ts"

/** Most ranges that are named; the others are counted. */
const maxNamed = 8

/** Most bytes of a key that are shown. */
const maxShownBytes = 96

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")

/** A key on one line: text in quotes, or hex where it is none. A long one ends with its size. */
export const keyText = (key: Uint8Array): string => {
  const isLong = key.byteLength > maxShownBytes
  const shown = isLong ? key.subarray(0, maxShownBytes) : key
  let text: string
  try {
    // With `stream` a character that is cut in two is left out, and is no reason for hex.
    text = printableJson(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(shown, { stream: isLong }))
  } catch {
    text = `(hex) ${hexOf(shown)}`
  }
  return isLong ? `${text}… of ${key.byteLength} bytes` : text
}

/** A range on one line: one key, or its two ends. */
export const rangeText = ({ gte, lt }: KeyRange): string => {
  if (gte.byteLength === 0 && lt.byteLength === 0) return "every key"
  if (compareBytes(lt, singleKey(gte).lt) === 0) return keyText(gte)
  return `${gte.byteLength === 0 ? "" : keyText(gte)}…${lt.byteLength === 0 ? "" : keyText(lt)}`
}

/** What a change of roles, users and tokens does. */
export const accessText = (command: AccessCommand): string => {
  switch (command._tag) {
    case "PutRole":
      return `set the role ${command.role.name}`
    case "DeleteRole":
      return `delete the role ${command.name}`
    case "PutUser":
      return `set the user ${command.name}`
    case "DeleteUser":
      return `delete the user ${command.name}`
    case "AddToken":
      return `add a token of ${command.user}`
    case "RemoveToken":
      return `remove token ${command.token} of ${command.user}`
  }
}

/** What an administrator's operation does, to go behind "may not". */
export const administrationText = (operation: Command | Query): string => {
  switch (operation._tag) {
    case "Compact":
      return "compact the history"
    case "EndSession":
      return `end session ${operation.session}`
    case "Checkpoint":
      return "put a marker into the log"
    case "Leases":
      return "list leases"
    case "Sessions":
      return "list sessions"
    case "Roles":
      return "list roles"
    case "Users":
      return "list users"
    case "PutRole":
    case "DeleteRole":
    case "PutUser":
    case "DeleteUser":
    case "AddToken":
    case "RemoveToken":
      return accessText(operation)
    default:
      return `send the command ${operation._tag}`
  }
}

/** What an operation is about, beside keys. */
const subjectOf = (operation: Command | Query): string | undefined => {
  switch (operation._tag) {
    case "Compact":
      return `revision ${operation.through}`
    case "EndSession":
      return `session ${operation.session}`
    case "PutRole":
      return `role ${operation.role.name}`
    case "DeleteRole":
      return `role ${operation.name}`
    case "PutUser":
      return `user ${operation.name}${operation.roles.length === 0 ? "" : ` with ${operation.roles.join(", ")}`}`
    case "DeleteUser":
      return `user ${operation.name}`
    case "AddToken":
      return `user ${operation.user}`
    case "RemoveToken":
      return `user ${operation.user} token ${operation.token}`
    default:
      return undefined
  }
}

const changesNothing: ReadonlySet<(Command | Query)["_tag"]> = new Set([
  "Get",
  "Scan",
  "Count",
  "Leases",
  "LeaseKeys",
  "Sessions",
  "Roles",
  "Users",
  "Checkpoint"
])

/** An operation for the audit log. */
export const describe = (operation: Command | Query): Described => {
  const { leases, reads, writes } = touches(operation)
  const named: Array<string> = []
  let total = 0
  const add = (count: number, text: (i: number) => string): void => {
    for (let i = 0; i < count; i++) {
      if (named.length < maxNamed) named.push(text(i))
      total += 1
    }
  }
  const subject = subjectOf(operation)
  if (subject !== undefined) add(1, () => subject)
  add(writes.length, (i) => `write ${rangeText(writes[i] as KeyRange)}`)
  add(reads.length, (i) => `read ${rangeText(reads[i] as KeyRange)}`)
  add(leases.length, (i) => `lease ${leases[i]}`)
  if (total > named.length) named.push(`and ${total - named.length} more`)
  return {
    operation: operation._tag,
    ranges: named,
    writes: operation._tag === "Transact" ? writes.length > 0 : !changesNothing.has(operation._tag)
  }
}
