/**
 * The marker of a data directory: whose it is, and which releases can read it. Format 4 is read by every release since
 * 0.1.0; format 5 names a feature level (`protocol/FeatureLevel.ts`) and the first release that knows it. In format 6
 * the entries of the log are in segments (`segments/`), and before that in rows of RocksDB. A directory keeps its way,
 * so that the build that made it can open it again.
 */
import { Context, Effect } from "effect"
import { CodecError } from "../bytes/CodecError.ts"
import type { FeatureLevel } from "../protocol/FeatureLevel.ts"
import { FeatureTable, highestLevel, neededRelease } from "../protocol/FeatureLevel.ts"
import { version } from "../Version.ts"
import type { Marker } from "./Codec.ts"
import { decodeMarker, decodeReadableBy, encodeRecord, stateKeys } from "./Codec.ts"
import { RocksDb } from "./rocksdb/RocksDb.ts"
import type { StorageError } from "./StorageError.ts"
import { DataDirRefused, StorageCorruption } from "./StorageError.ts"

/** The layout of a directory with the log in rows, whose cluster has the lowest feature level. */
const rowsFormatVersion = 4

/** The same with a feature level in the marker. */
const levelFormatVersion = 5

/** With the log in segments, and a feature level in the marker or none. */
const segmentsFormatVersion = 6

const readableFormats: ReadonlyArray<number> = [rowsFormatVersion, levelFormatVersion, segmentsFormatVersion]

/** The format of a directory that is made; tests make earlier ones. */
export const NewFormat: Context.Reference<number> = Context.Reference<number>("flaredb/storage/NewFormat", {
  defaultValue: () => segmentsFormatVersion
})

/** Whether the entries of the log are in segments. */
export const hasSegments = ({ formatVersion }: Marker): boolean => formatVersion >= segmentsFormatVersion

const corrupt = (path: string, detail: string): StorageCorruption =>
  new StorageCorruption({ path, detail, safe: "nothing was changed" })

/** Which release opens a directory that this one refuses. */
const otherRelease = (found: number, release: string | undefined): string =>
  found < rowsFormatVersion
    ? "An earlier release of FlareDB wrote it; run that one, or restore from a backup."
    : `A later release of FlareDB wrote it; run flaredb ${
      release ?? `that is later than ${version}`
    }, or restore from a backup that ${version} wrote.`

/** Refuses a marker of another format, and one that needs a feature level which this release does not know. */
const refusalOf = (
  path: string,
  found: { readonly formatVersion: number; readonly release: string | undefined },
  required: FeatureLevel | undefined,
  known: FeatureLevel
): DataDirRefused | undefined => {
  if (!readableFormats.includes(found.formatVersion)) {
    return new DataDirRefused({
      path,
      reason: "format-version",
      expected: `format ${readableFormats.join(", ")}`,
      found: `format ${found.formatVersion}`,
      hint: otherRelease(found.formatVersion, found.release)
    })
  }
  if (required === undefined || required.level <= known.level) return undefined
  return new DataDirRefused({
    path,
    reason: "feature-level",
    expected: `feature level ${known.level} or less, which flaredb ${version} knows`,
    found: neededRelease(required),
    hint: `Run flaredb ${required.release} or later: the cluster has used what ${version} cannot read.`
  })
}

/** The marker in a record, when this release can read the directory. */
export const readMarker = (
  path: string,
  record: Uint8Array
): Effect.Effect<Marker, DataDirRefused | StorageCorruption> =>
  Effect.flatMap(FeatureTable, (table): Effect.Effect<Marker, DataDirRefused | StorageCorruption> => {
    // What a later format has besides is unknown, so the whole marker is decoded only when its format is known.
    const readable = decodeReadableBy(record)
    if (readable instanceof CodecError) return Effect.fail(corrupt(path, readable.message))
    const { required } = readable
    const found = { formatVersion: readable.formatVersion, release: required?.release }
    const refusal = refusalOf(path, found, required, highestLevel(table))
    if (refusal !== undefined) return Effect.fail(refusal)
    const marker = decodeMarker(record)
    return marker instanceof CodecError ? Effect.fail(corrupt(path, marker.message)) : Effect.succeed(marker)
  })

/** What is wrong with a database without a marker. */
export const missingMarker = "the marker is missing from raft_state"

/** The marker of an open database, when this release can read the directory. */
export const markerOf = Effect.fnUntraced(function*(path: string) {
  const record = yield* (yield* RocksDb).get("raft_state", stateKeys.marker)
  return record === undefined
    ? yield* corrupt(path, missingMarker)
    : yield* readMarker(path, record)
})

/** Replaces the marker of an open database, durably, where `change` gives another one. */
const changeMarker = (
  database: RocksDb["Service"],
  change: (marker: Marker) => Marker | undefined
): Effect.Effect<void, StorageError> =>
  Effect.gen(function*() {
    const record = yield* database.get("raft_state", stateKeys.marker)
    const marker = record === undefined ? new CodecError(missingMarker) : decodeMarker(record)
    if (marker instanceof CodecError) return yield* corrupt(database.path, marker.message)
    const changed = change(marker)
    if (changed === undefined) return
    const put = { _tag: "Put", key: stateKeys.marker, value: encodeRecord(changed) } as const
    yield* database.write("raft_state", [put], "durable")
  })

/** Has releases refuse the directory that do not know the level. */
export const requireLevel = (
  database: RocksDb["Service"],
  { level, release }: FeatureLevel
): Effect.Effect<void, StorageError> =>
  changeMarker(database, (marker) =>
    marker.required !== undefined && marker.required.level >= level ? undefined : {
      ...marker,
      formatVersion: Math.max(marker.formatVersion, levelFormatVersion),
      required: { level, release }
    })

/** Says that the entries of the log are in segments from now on. */
export const requireSegments = (database: RocksDb["Service"]): Effect.Effect<void, StorageError> =>
  changeMarker(database, (marker) => ({ ...marker, formatVersion: segmentsFormatVersion }))
