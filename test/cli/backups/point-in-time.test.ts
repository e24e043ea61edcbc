/**
 * States between two backups: whatever commands came between, what is made is what the store had at that revision, and
 * everything that a restore checks holds.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { join } from "node:path"
import { pointInTime } from "../../../src/cli/backups/PointInTime.ts"
import { apply, keysOf } from "../../../src/kv/model/Apply.ts"
import { Batch } from "../../../src/kv/model/Batch.ts"
import { noSession } from "../../../src/kv/model/Command.ts"
import { ReadBudget } from "../../../src/kv/model/ReadBudget.ts"
import { State } from "../../../src/kv/model/State.ts"
import { checkOfBackup } from "../../../src/machine/StateCheck.ts"
import { keyValueMachine } from "../../../src/machine/StateFacts.ts"
import type { BackupHeader } from "../../../src/protocol/BackupFile.ts"
import { encodeBackupHeader } from "../../../src/protocol/BackupFile.ts"
import { identityRowKey } from "../../../src/protocol/ClusterIdentity.ts"
import { encodeLevelRow, levelRowKey } from "../../../src/protocol/FeatureLevel.ts"
import { SnapshotEncoder } from "../../../src/protocol/SnapshotChunk.ts"
import { readBackup } from "../../../src/storage/backup/BackupReader.ts"
import { writeBackup } from "../../../src/storage/backup/BackupWriter.ts"
import type { StateRow } from "../../../src/storage/StateStore.ts"
import { otherCluster, someCluster } from "../../client/Identities.ts"
import { Source } from "../../kv/CommandSource.ts"
import { Store, text } from "../../kv/Store.ts"
import { temporaryFolder } from "../../storage/TemporaryFolder.ts"

/** A store at one moment. */
interface SavedState {
  readonly rows: ReadonlyArray<StateRow>
  readonly index: number
  readonly revision: number
  readonly logTimeMs: number
}

/** A store that carries random commands out, one at a time, and every moment at which its revision was another. */
const lives = (seed: number, count: number): ReadonlyArray<SavedState> => {
  const source = new Source(seed)
  const store = new Store()
  const state = new State()
  const moments: Array<SavedState> = []
  for (let index = 1; index <= count; index++) {
    const { command, commandId, timestampMs } = source.step(index, state.metadata.revision)
    if (command._tag === "GrantLease" || command._tag === "OpenSession") source.ids.push(index)
    if (source.ids.length > 8) source.ids.shift()
    const { revision: before } = state.metadata
    const batch = new Batch(state)
    store.run(batch.writeSet.loadAll(keysOf(command), new ReadBudget()))
    const applied = apply(batch, { index, timestampMs }, {
      _tag: "Decoded",
      command,
      commandId: commandId ?? noSession
    })
    if (!(applied instanceof Uint8Array)) store.run(applied)
    store.commit(batch)
    const { logTimeMs, revision } = state.metadata
    if (revision !== before) moments.push({ rows: [...store.sorted()], index, revision, logTimeMs })
  }
  return moments
}

const identityRow = (identity: string): StateRow => ({ key: identityRowKey, value: new TextEncoder().encode(identity) })

/** `more` are rows about the store that lie behind its metadata. */
const save = (
  path: string,
  { index, logTimeMs, revision, rows }: SavedState,
  identity: string = someCluster,
  more: ReadonlyArray<StateRow> = [],
  createdMs = 1
) => {
  const header: BackupHeader = {
    clusterId: "c",
    identity,
    nodeId: 1,
    version: "0",
    machine: keyValueMachine,
    index,
    term: 1,
    revision,
    logTimeMs,
    createdMs,
    estimatedBytes: 1
  }
  const encoder = new SnapshotEncoder()
  const about = rows.filter(({ key }) => key[0] === 0x01)
  const chunks = [identityRow(identity), ...about, ...more, ...rows.slice(about.length)]
    .flatMap((row) => encoder.add(row))
  const bytes = [encodeBackupHeader(header), ...chunks, ...encoder.end().chunks]
  return writeBackup(path, Stream.fromIterable(bytes), { force: true })
}

/** Rows of some kinds, as text. */
const shown = (rows: ReadonlyArray<StateRow>, ...kinds: ReadonlyArray<number>): ReadonlyArray<string> =>
  rows.filter(({ key }) => kinds.includes(key[0] ?? 0)).map(({ key, value }) => `${text(key)} ${text(value)}`)

const rowsOf = Effect.fnUntraced(function*(path: string) {
  const all: Array<StateRow> = []
  const { header } = yield* readBackup(path, {
    check: checkOfBackup,
    onRows: (rows) => Effect.sync(() => all.push(...rows))
  })
  return { header, rows: all }
})

describe("a state between two backups", () => {
  it.live("is what the store had at that revision, after any commands", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const [base, later, made] = ["base", "later", "made"].map((name) => join(folder, name)) as [
        string,
        string,
        string
      ]
      const seen = { made: 0, forgotten: 0 }
      for (let seed = 1; seed <= 5; seed++) {
        const moments = lives(seed, 300)
        const chance = new Source(seed + 1_000)
        for (let round = 0; round < 6; round++) {
          const from = chance.below(moments.length - 2)
          const to = from + 1 + chance.below(Math.min(60, moments.length - from - 1))
          const at = from + 1 + chance.below(to - from)
          const [old, wanted, last] = [moments[from], moments[at], moments[to]] as [SavedState, SavedState, SavedState]
          yield* save(base, old)
          yield* save(later, last)
          const built = yield* Effect.result(pointInTime({ base, later }, { revision: wanted.revision }))
          if (built._tag === "Failure") {
            assert.match(built.failure.message, /the later backup has the history from revision \d+ on/, `seed ${seed}`)
            seen.forgotten += 1
            continue
          }
          yield* writeBackup(made, built.success.bytes, { force: true })
          // The reader holds the rows to each other: leases to their keys, the history to its size.
          const { header, rows } = yield* rowsOf(made)
          assert.include(header, { revision: wanted.revision, index: last.index, identity: someCluster })
          const where = `seed ${seed}, revisions ${old.revision} to ${wanted.revision} to ${last.revision}`
          assert.deepStrictEqual(shown(rows, 0x10), shown(wanted.rows, 0x10), where)
          assert.isEmpty(shown(rows, 0x40, 0x41, 0x42))
          seen.made += 1
        }
      }
      assert.isAbove(seen.made, 8)
      assert.isAbove(seen.forgotten, 2)
    }).pipe(Effect.scoped), 60_000)

  it.live("keeps the identity and the feature level of the cluster", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const [base, later, made] = [join(folder, "a"), join(folder, "b"), join(folder, "c")]
      const moments = lives(3, 60)
      const level: StateRow = { key: levelRowKey, value: encodeLevelRow({ level: 1, release: "0.1.0" }) }
      const [first, wanted] = [moments[0], moments[1]] as [SavedState, SavedState]
      yield* save(base, first)
      yield* save(later, wanted, someCluster, [level])
      const built = yield* pointInTime({ base, later }, { revision: wanted.revision })
      yield* writeBackup(made, built.bytes, { force: true })
      const { rows } = yield* rowsOf(made)
      assert.deepStrictEqual(shown(rows, 0x01), shown([identityRow(someCluster), ...wanted.rows, level], 0x01))
    }).pipe(Effect.scoped))

  it.live("is refused with what is wrong when the files or the moment do not fit", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const [base, later, other] = ["a", "b", "c"].map((name) => join(folder, name)) as [string, string, string]
      const moments = lives(3, 60)
      const [first, last] = [moments[0], moments[moments.length - 1]] as [SavedState, SavedState]
      yield* save(base, first)
      yield* save(later, last)
      yield* save(other, last, otherCluster)
      const refused = (files: { base: string; later: string }, moment: Parameters<typeof pointInTime>[1]) =>
        Effect.map(Effect.flip(pointInTime(files, moment)), ({ _tag, message }) => `${_tag}: ${message}`)
      assert.match(
        yield* refused({ base, later: other }, { revision: 2 }),
        /NoSuchRecoveryTarget: .*different clusters/
      )
      assert.match(yield* refused({ base: later, later: base }, { revision: 2 }), /name them the other way/)
      for (const moment of [{ revision: first.revision }, { revision: last.revision + 1 }, { timeMs: 0 }]) {
        assert.match(yield* refused({ base, later }, moment), /no such point in time|has the history from revision/)
      }
    }).pipe(Effect.scoped))

  it.live("behind the last entry is refused, and who means the wall clock is told how far that is", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const [base, later] = [join(folder, "a"), join(folder, "b")]
      const moments = lives(5, 40)
      const [first, last] = [moments[0] as SavedState, moments[moments.length - 1] as SavedState]
      yield* save(base, first)
      const { logTimeMs } = last
      const at = (timeMs: number, createdMs: number) =>
        Effect.andThen(
          save(later, last, someCluster, [], createdMs),
          Effect.result(pointInTime({ base, later }, { timeMs }))
        )
      const messageOf = (timeMs: number, createdMs: number) =>
        Effect.map(at(timeMs, createdMs), (made) => made._tag === "Failure" ? made.failure.message : "made")
      const agree = yield* messageOf(logTimeMs + 1, logTimeMs + 2_000)
      assert.match(agree, /written by \S+ of the cluster's clock, before that time; use that backup itself$/)
      const hours = yield* messageOf(logTimeMs + 3_600_000, logTimeMs + 7_200_000)
      assert.match(hours, /use that backup itself\. But .* behind by up to 2h, because .* or --revision$/)
      const inside = yield* at(logTimeMs, logTimeMs + 60_000)
      assert.match(inside._tag === "Success" ? inside.success.clockDifference ?? "" : "", /behind by up to 1m/)
      const same = yield* at(logTimeMs, logTimeMs)
      assert.isUndefined(same._tag === "Success" ? same.success.clockDifference : "refused")
    }).pipe(Effect.scoped))

  it.live("is found by the time of the cluster's clock", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const [base, later] = [join(folder, "a"), join(folder, "b")]
      const moments = lives(5, 40)
      yield* save(base, moments[0] as SavedState)
      // Every moment has a later clock or the same as the one before it; the last of the same time counts.
      for (let i = 1; i < moments.length; i++) {
        const wanted = moments[i] as SavedState
        const next = moments[i + 1]
        if (next !== undefined && next.logTimeMs === wanted.logTimeMs) continue
        yield* save(later, moments[moments.length - 1] as SavedState)
        const built = yield* Effect.result(pointInTime({ base, later }, { timeMs: wanted.logTimeMs }))
        if (built._tag === "Success") assert.strictEqual(built.success.header.revision, wanted.revision)
        else assert.match(built.failure.message, /has the history from revision/)
      }
    }).pipe(Effect.scoped))
})
