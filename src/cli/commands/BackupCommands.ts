/** The commands that read the whole state: backup and verify. */
import { Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import type { NodeHash } from "../../client/connection/NodeHashes.ts"
import { Backups, layer as backupsLayer } from "../../client/Backups.ts"
import type { BackupSink } from "../../storage/backup/BackupWriter.ts"
import { sentence, summary } from "../backups/BackupText.ts"
import type { ClientFlags } from "../input/ClientFlags.ts"
import { clientFlags, clientOptions } from "../input/ClientFlags.ts"
import type { Failure } from "../output/Failure.ts"
import { failed, failureOf, wrongUsage } from "../output/Failure.ts"
import * as Messages from "../output/Messages.ts"
import * as Output from "../output/Output.ts"
import { isShown, make as makeProgress, progressFlag } from "../output/Progress.ts"
import { makeSwitch } from "../input/Switch.ts"
import { table } from "../output/Table.ts"

const withBackups = <A, E>(flags: ClientFlags, command: Effect.Effect<A, E, Backups>): Effect.Effect<A, Failure> =>
  Effect.gen(function*() {
    const options = yield* clientOptions(flags)
    return yield* Effect.provide(command, backupsLayer(options))
  }).pipe(Effect.scoped, Effect.mapError(failureOf))

/** What a file is called that is none. Replacing one of these names would take it from every other program. */
const standardOutputs: ReadonlySet<string> = new Set(["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])

/** Standard output, when a backup is to go there. */
const standardOutput = (file: string): Effect.Effect<BackupSink | undefined, Failure> => {
  if (!standardOutputs.has(file)) return Effect.succeed(undefined)
  if (process.stdout.isTTY) {
    return Effect.fail(wrongUsage("a backup is no text for a terminal; send it on: flaredb backup - > FILE"))
  }
  return Effect.succeed({
    // A reader that has gone, or a full disk, ends the process: `StandardOutput.ts` says why.
    waits: true,
    write: (piece) => new Promise<void>((resolve) => process.stdout.write(piece, () => resolve())),
    sync: () => Promise.resolve()
  })
}

/** What came of a backup: on standard output, unless the backup is there. Then only on a terminal. */
const report = (sink: BackupSink | undefined, text: string, flags: Parameters<typeof isShown>[0]) =>
  sink === undefined
    ? Output.lines(text)
    : flags.json || isShown(flags)
    ? Messages.result(text)
    : Effect.void

interface FromFlags {
  readonly file: string
  readonly force: boolean
  readonly from: string
  readonly json: boolean
  readonly progress: Option.Option<boolean>
  readonly replaced: boolean
}

/** What a backup of a stopped node cannot hold. */
const missing = (index: number, lastIndex: number): string =>
  lastIndex > index
    ? `not in it: log entries ${index + 1} to ${lastIndex} of this node, which it had not applied; ` +
      "a stopped node cannot tell which of them were committed. Compare with the other nodes, and take the one that " +
      "is furthest"
    : "not in it: whatever this node had not received. Compare with the other nodes, and take the one that is furthest"

const backupFrom = ({ file, force, from, json, progress: shown, replaced }: FromFlags) =>
  Effect.gen(function*() {
    const { offlineBackup } = yield* Effect.promise(() => import("./OfflineBackup.ts"))
    const sink = yield* standardOutput(file)
    const progress = yield* makeProgress("backup", { json, progress: shown })
    const written = yield* offlineBackup({ file, sink, force, from, replaced, onProgress: progress.report }).pipe(
      Effect.ensuring(progress.end)
    )
    const { header, lastIndex, problem } = written
    yield* report(
      sink,
      json
        ? JSON.stringify({ ...summary(file, written), from, replaced, lastIndex })
        : `${file}: ${sentence(written)}\n${missing(header.index, lastIndex)}`,
      { json, progress: shown }
    )
    if (problem !== undefined) {
      return yield* failed(`${file} was written, but restore will not take it, because ${from} is damaged: ${problem}`)
    }
  }).pipe(Effect.mapError(failureOf))

export const backup = Command.make("backup", {
  ...clientFlags,
  force: makeSwitch("force").pipe(
    Flag.withDescription("replace the file if it exists, once the new backup is whole"),
    Flag.withDefault(false)
  ),
  from: Flag.String("from").pipe(
    Flag.withMetavar("DIR"),
    Flag.withDescription(
      "read the data directory of a stopped node instead, for the day nothing leads; default a running cluster"
    ),
    Flag.optional
  ),
  replaced: makeSwitch("replaced").pipe(
    Flag.withDescription("with --from: the state that the node's last snapshot replaced, as long as it is kept"),
    Flag.withDefault(false)
  ),
  progress: progressFlag,
  file: Argument.String("file").pipe(Argument.withDescription("the backup file; - for standard output"))
}, (flags) => {
  if (flags.file === "") return Effect.fail(wrongUsage("the name of the backup file is empty"))
  if (Option.contains(flags.from, "")) return Effect.fail(wrongUsage("--from is empty; name a directory"))
  if (Option.isSome(flags.from)) return backupFrom({ ...flags, from: flags.from.value })
  if (flags.replaced) {
    return Effect.fail(wrongUsage("--replaced goes with --from DIR: nodes that run serve their own state"))
  }
  return withBackups(
    flags,
    Effect.gen(function*() {
      const { download } = yield* Backups
      const { writeBackup, writeBackupTo } = yield* Effect.promise(() => import("../../storage/backup/BackupWriter.ts"))
      const sink = yield* standardOutput(flags.file)
      const progress = yield* makeProgress("backup", flags)
      const options = { force: flags.force, onProgress: progress.report }
      const written = yield* (sink === undefined
        ? writeBackup(flags.file, download, options)
        : writeBackupTo(sink, flags.file, download, options)).pipe(Effect.ensuring(progress.end))
      yield* report(
        sink,
        flags.json ? JSON.stringify(summary(flags.file, written)) : `${flags.file}: ${sentence(written)}`,
        flags
      )
    })
  )
}).pipe(
  Command.withDescription(
    "Save the whole state of a running cluster to a file: one consistent snapshot of all acknowledged before. " +
      "Writes go on meanwhile."
  ),
  Command.withExamples([
    { command: "flaredb backup nightly.flaredb", description: "Back up the local cluster" },
    {
      command: "flaredb backup nightly.flaredb --force --endpoints 10.0.0.2:7001",
      description: "From one node, over the file of yesterday"
    },
    {
      command: "flaredb backup - | ssh store 'cat > nightly.flaredb'",
      description: "To standard output, which holds nothing else then"
    },
    {
      command: "flaredb backup rescue.flaredb --from ./data/node-1",
      description: "What a stopped node had applied, when no node leads"
    }
  ])
)

/** The digest that most nodes have, if one has more than any other. */
const commonDigest = (answers: ReadonlyArray<NodeHash>): string | undefined => {
  const counts = new Map<string, number>()
  for (const { hash } of answers) {
    if (hash !== undefined) counts.set(hash.digest, (counts.get(hash.digest) ?? 0) + 1)
  }
  const [first, second] = [...counts].sort(([, a], [, b]) => b - a)
  return first !== undefined && first[1] > (second?.[1] ?? 0) ? first[0] : undefined
}

/** What is wrong, in one line; `undefined` when all nodes were compared and are equal. */
export const verdict = (answers: ReadonlyArray<NodeHash>): string | undefined => {
  const hashes = answers.flatMap(({ hash }) => hash === undefined ? [] : [hash])
  const common = commonDigest(answers)
  const differing = hashes.filter(({ digest }) => digest !== common).map(({ nodeId }) => `node ${nodeId}`)
  const missing = answers.filter(({ hash }) => hash === undefined).map(({ endpoint, problem }) =>
    `${endpoint}: ${problem}`
  )
  const problems: Array<string> = []
  if (hashes.length > 0 && common === undefined) {
    problems.push("the nodes differ, and none has a majority; stop writing and see deploy/runbooks/restore.md")
  } else if (differing.length > 0) {
    problems.push(
      `${differing.join(", ")} differs from the others; stop it and rebuild it as deploy/runbooks/lost-node.md says`
    )
  }
  if (missing.length > 0) problems.push(`not compared: ${missing.join("; ")}`)
  return problems.length === 0 ? undefined : problems.join("; ")
}

const row = ({ endpoint, hash, problem }: NodeHash, common: string | undefined): ReadonlyArray<string> =>
  hash === undefined
    ? [endpoint, "?", `not compared: ${problem ?? "no answer"}`]
    : [
      endpoint,
      String(hash.nodeId),
      hash.digest === common ? "equal" : "DIFFERS",
      String(hash.revision),
      String(hash.index),
      String(hash.rows),
      hash.digest
    ]

export const verify = Command.make("verify", { ...clientFlags, progress: progressFlag }, (flags) =>
  withBackups(
    flags,
    Effect.gen(function*() {
      const { hashes } = yield* Backups
      const progress = yield* makeProgress("hash", flags)
      const answers = yield* hashes({
        onStep: (_, step) => step._tag === "Hashing" ? progress.report(step.bytes, step.estimatedBytes) : Effect.void
      }).pipe(Effect.ensuring(progress.end))
      const common = commonDigest(answers)
      if (flags.json) {
        for (const { endpoint, hash, problem } of answers) {
          if (hash === undefined) {
            yield* Output.json({ endpoint, problem })
            continue
          }
          const { bytes, digest, index, nodeId, revision, rows, term } = hash
          const equal = digest === common
          yield* Output.lines(
            JSON.stringify({ endpoint, nodeId, equal, revision, index, term, rows, bytes, sha256: digest })
          )
        }
      } else {
        const head = ["ENDPOINT", "NODE", "STATE", "REVISION", "INDEX", "ROWS", "SHA256"]
        yield* Output.lines(table([head, ...answers.map((answer) => row(answer, common))]))
      }
      const problem = verdict(answers)
      if (problem !== undefined) return yield* failed(problem)
    })
  )).pipe(
    Command.withDescription(
      "Compare the whole state of all nodes at one index of the log; exit code 1 when one differs or could not be " +
        "compared."
    ),
    Command.withExamples([{ command: "flaredb verify", description: "Compare the nodes of the local cluster" }])
  )
