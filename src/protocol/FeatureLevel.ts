/**
 * The feature level of a cluster: which commands and encodings its nodes may use. A release knows all levels up to its
 * own. The level of a cluster is part of the replicated state; the leader raises it through the log once every voter
 * has said that it knows the next one, and nothing lowers it. So a cluster in which two releases run side by side uses
 * what both know, and a node that is too old for what was used is refused instead of misreading it.
 *
 * The entry that raises a level is the node's own: no state machine sees it, and no client may propose one. A cluster
 * has level {@link baselineLevel} without an entry and without a row.
 *
 * | where          | what                                                                       |
 * | -------------- | -------------------------------------------------------------------------- |
 * | log entry      | a command: {@link entryMagic}, then the level as text                       |
 * | state family   | the row `01 "level"`, with the level as text                                |
 * | data directory | the marker has format 5 and the level, so that older releases refuse it     |
 * | wire           | what a node knows, in its `Hello`, and what a client reads in its status   |
 * | text           | the level, a space, and the first release that knows it: `2 0.2.0`          |
 */
import { Context, Result } from "effect"
import { CodecError } from "../bytes/CodecError.ts"

/** One level. Whatever an older release could not read belongs to one. */
export interface FeatureLevel {
  readonly level: number
  /** The first release that knows it. */
  readonly release: string
}

export interface Feature extends FeatureLevel {
  /** What nodes do from this level on, in a few words. */
  readonly what: string
}

/** The level of every cluster that never raised one. Nodes of releases before levels say none, and know this one. */
export const baselineLevel = 1

/** Every level that this release knows, the lowest first. Rows are added and never changed. */
export const features: ReadonlyArray<Feature> = [
  { level: baselineLevel, release: "0.1.0", what: "commands, rows and messages of the first release" }
]

/** The levels that a node knows. A test gives it those of another release. */
export const FeatureTable: Context.Reference<ReadonlyArray<Feature>> = Context.Reference<ReadonlyArray<Feature>>(
  "flaredb/protocol/FeatureTable",
  { defaultValue: () => features }
)

/** The highest level of a table. */
export const highestLevel = (table: ReadonlyArray<Feature>): FeatureLevel => {
  const last = table.at(-1)
  if (last === undefined) throw new RangeError("a release knows at least one feature level")
  return last
}

/** Who can read what was written at a level, in words. */
export const neededRelease = ({ level, release }: FeatureLevel): string =>
  `feature level ${level}, which flaredb ${release} and later know`

const maxLevel = 9_999

/** A level in decimal, and a release as npm writes it. */
const shape = /^([1-9]\d{0,3}) ([0-9A-Za-z.+-]{1,64})$/

/** Whether a level that came over the wire makes sense. */
export const isLevel = (level: number): boolean => Number.isInteger(level) && level >= 1 && level <= maxLevel

const levelText = ({ level, release }: FeatureLevel): string => `${level} ${release}`

const parseLevel = (text: string): FeatureLevel | undefined => {
  const match = shape.exec(text)
  return match === null ? undefined : { level: Number(match[1]), release: match[2] as string }
}

/** The row that holds the level, among the rows of the state machine so that snapshots and backups carry it. */
export const levelRowKey: Uint8Array = Uint8Array.of(0x01, ...new TextEncoder().encode("level"))

/** Whether a stored key is that of the level. */
export const isLevelRow = (key: Uint8Array): boolean =>
  key.byteLength === levelRowKey.byteLength && Buffer.compare(key, levelRowKey) === 0

export const encodeLevelRow = (level: FeatureLevel): Uint8Array => new TextEncoder().encode(levelText(level))

export const decodeLevelRow = (value: Uint8Array): Result.Result<FeatureLevel, CodecError> => {
  const text = Buffer.from(value).toString("latin1")
  const level = parseLevel(text)
  return level === undefined
    ? Result.fail(new CodecError(`${JSON.stringify(text.slice(0, 80))} is no feature level`))
    : Result.succeed(level)
}

/** How the payload of an entry begins that raises the level. A command of a client that looks like one is refused. */
const entryMagic = Buffer.from("\0flaredb feature level\0", "latin1")

const maxEntryBytes = entryMagic.byteLength + 4 + 1 + 64

export const encodeLevelEntry = (level: FeatureLevel): Uint8Array =>
  new Uint8Array(Buffer.concat([entryMagic, Buffer.from(levelText(level), "latin1")]))

/** The level that a command raises the cluster to; `undefined` for every other command. */
export const decodeLevelEntry = (payload: Uint8Array): FeatureLevel | undefined => {
  if (payload[0] !== 0 || payload.byteLength > maxEntryBytes) return undefined
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
  if (!bytes.subarray(0, entryMagic.byteLength).equals(entryMagic)) return undefined
  return parseLevel(bytes.toString("latin1", entryMagic.byteLength))
}
