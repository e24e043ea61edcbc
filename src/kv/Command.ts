/**
 * What changes the state, as it stands in the log.
 *
 * ```
 * version u8 (1) · tag u8 · key length u16 · key · [Put: value, to the end]
 * ```
 *
 * A client encodes a command once; wire, log and state machine pass these bytes on.
 */
import { Reader, Writer } from "./Binary.ts"
import type { Problem } from "./Limits.ts"
import { keyProblem, problem, valueProblem } from "./Limits.ts"

/** The version written, and the only one read. */
export const commandVersion = 1

export interface Put {
  readonly _tag: "Put"
  readonly key: Uint8Array
  readonly value: Uint8Array
}

export interface Delete {
  readonly _tag: "Delete"
  readonly key: Uint8Array
}

export type Command = Put | Delete

const putTag = 1
const deleteTag = 2

/** What is wrong with a command's arguments, if anything. */
export const commandProblem = (command: Command): Problem | undefined =>
  keyProblem(command.key.byteLength) ??
    (command._tag === "Put" ? valueProblem(command.value.byteLength) : undefined)

/** The bytes of a command that {@link commandProblem} has nothing against. */
export const encodeCommand = (command: Command): Uint8Array => {
  const { key } = command
  switch (command._tag) {
    case "Put":
      return new Writer(4 + key.byteLength + command.value.byteLength)
        .u8(commandVersion).u8(putTag).u16(key.byteLength).raw(key).raw(command.value).bytes
    case "Delete":
      return new Writer(4 + key.byteLength).u8(commandVersion).u8(deleteTag).u16(key.byteLength).raw(key).bytes
  }
}

/** The command in `bytes`, whose fields are views of them, or what is wrong. */
export const decodeCommand = (bytes: Uint8Array): Command | Problem => {
  const reader = new Reader(bytes)
  const version = reader.u8()
  const tag = reader.u8()
  const key = reader.raw(reader.u16())
  if (reader.failed) return problem("command", `is cut short at ${bytes.byteLength} bytes`)
  if (version !== commandVersion) {
    return problem("command", `has version ${version}; this node reads version ${commandVersion}`)
  }
  const command = make(tag, key, reader)
  if (command === undefined) return problem("command", `has the unknown tag ${tag}`)
  if (!reader.complete) return problem("command", "has bytes behind its end")
  return commandProblem(command) ?? command
}

const make = (tag: number, key: Uint8Array, reader: Reader): Command | undefined => {
  switch (tag) {
    case putTag:
      return { _tag: "Put", key, value: reader.rest() }
    case deleteTag:
      return { _tag: "Delete", key }
    default:
      return undefined
  }
}
