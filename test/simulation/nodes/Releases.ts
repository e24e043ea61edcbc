/**
 * Releases of a rolling upgrade. They are made up: each knows one feature level more than the one before it, and puts
 * of some keys came with a level (decision 0088).
 */
import { decodeCommand, tags } from "../../../src/kv/model/Command.ts"
import type { Command } from "../../../src/kv/model/Command.ts"
import type { Feature } from "../../../src/protocol/FeatureLevel.ts"
import { baselineLevel } from "../../../src/protocol/FeatureLevel.ts"

const table: ReadonlyArray<Feature> = [1, 2, 3].map((level) => ({ level, release: `0.${level}.0`, what: "made up" }))

/** The level that the newest release knows. */
export const newestLevel = table.length

/** The levels that the release knows whose highest one is `known`. */
export const levelsUpTo = (known: number): ReadonlyArray<Feature> => table.slice(0, known)

export const releaseOf = (known: number): string => (table[known - 1] as Feature).release

/** A key whose puts need a level. */
export const keyOfLevel = (level: number): Uint8Array => Buffer.from(`n${level}`)

/** What a command needs. */
export const levelOfCommand = (command: Command): number => {
  if (command._tag !== "Put" || command.key[0] !== 0x6e) return baselineLevel
  return Number(Buffer.from(command.key).toString("latin1", 1))
}

/** The same of its bytes, as a state machine is asked. */
export const levelOf = (bytes: Uint8Array): number => {
  if (bytes[1] !== tags.Put) return baselineLevel
  const decoded = decodeCommand(bytes)
  return decoded._tag === "Problem" ? baselineLevel : levelOfCommand(decoded.command)
}
