/** The command that puts into one file what helps another person to find out what is wrong. */
import { Clock, Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { gzipSync } from "node:zlib"
import { version } from "../../Version.ts"
import type { Gathered } from "../bundle/Gather.ts"
import { bounded, clusterParts, machineParts } from "../bundle/Gather.ts"
import { withoutNames } from "../bundle/Redact.ts"
import { tarOf } from "../bundle/Tar.ts"
import { withClient } from "../input/ClientFlags.ts"
import { nodePlaces, withPlaces } from "../input/NodesFlags.ts"
import { makeSwitch } from "../input/Switch.ts"
import { asker } from "../nodes/NodePages.ts"
import { failureOf, wrongUsage } from "../output/Failure.ts"
import * as Output from "../output/Output.ts"
import { checkOutputFile, isStandardOutput, writeOutputFile } from "../output/OutputFile.ts"
import { formatBytes } from "../output/Progress.ts"
import { doctorFlags, examine, summaryText } from "./Doctor.ts"

/** Most bytes of all parts together. Parts that no longer fit are left out, and named. */
const maxBytes = 64 * 1024 * 1024

/** Most logs whose ends are taken. */
const maxLogs = 16

/** How long one page of a node may take, in milliseconds. */
const pageMs = 5_000

const folder = "flaredb-support"

/** The parts that fit, and what was left out. */
const fitting = ({ parts, problems }: Gathered): Gathered => {
  let bytes = 0
  const kept: Array<Gathered["parts"][number]> = []
  const left: Array<string> = []
  for (const { name, text } of parts) {
    const cut = bounded(text)
    if (bytes + Buffer.byteLength(cut) > maxBytes) {
      left.push(`${name}: left out, the bundle has ${maxBytes} bytes at most`)
      continue
    }
    bytes += Buffer.byteLength(cut)
    kept.push({ name, text: cut })
  }
  return { parts: kept, problems: [...problems, ...left] }
}

export const supportBundle = Command.make("support-bundle", {
  ...doctorFlags,
  log: Flag.String("log").pipe(
    Flag.withMetavar("FILE"),
    Flag.withDescription("take the last MiB of this log, redacted; may be given again; default none"),
    Flag.atLeast(0)
  ),
  force: makeSwitch("force").pipe(
    Flag.withDescription("replace the file if it exists; default it is kept"),
    Flag.withDefault(false)
  ),
  file: Argument.String("file").pipe(Argument.withDescription("the bundle, for example support.tar.gz"))
}, (flags) =>
  Effect.gen(function*() {
    const { file, force, log } = flags
    if (isStandardOutput(file)) return yield* wrongUsage("a bundle is a file; name one, for example support.tar.gz")
    if (file === "") return yield* wrongUsage("the name of the bundle is empty; name one, for example support.tar.gz")
    if (log.includes("")) return yield* wrongUsage("--log is empty; name a file")
    if (log.length > maxLogs) return yield* wrongUsage(`--log is given ${log.length} times; at most ${maxLogs}`)
    yield* checkOutputFile(file, force)
    const checks = yield* examine(flags)
    const places = yield* nodePlaces(flags)
    const ask = yield* asker(flags, Math.min(flags.timeout, pageMs))
    const nodes: Gathered = flags.local
      ? { parts: [], problems: [] }
      : yield* withClient(withPlaces(flags, places), clusterParts(places, ask))
    const machine = machineParts(Option.getOrUndefined(flags.dataDir), log)
    const { parts, problems } = fitting({
      parts: [
        { name: "doctor.jsonl", text: withoutNames(checks.map((check) => `${JSON.stringify(check)}\n`).join("")) },
        ...nodes.parts,
        ...machine.parts
      ],
      problems: [...nodes.problems, ...machine.problems]
    })
    const nowMs = yield* Clock.currentTimeMillis
    const manifest = JSON.stringify(
      {
        version,
        created: new Date(nowMs).toISOString(),
        nodes: places.map(({ name }) => name),
        doctor: summaryText(checks),
        files: parts.map(({ name }) => name),
        problems
      },
      null,
      2
    )
    const archive = tarOf([{ name: "manifest.json", text: `${manifest}\n` }, ...parts].map(({ name, text }) => ({
      name: `${folder}/${name}`,
      content: Buffer.from(text),
      modifiedMs: nowMs
    })))
    const bytes = gzipSync(archive)
    yield* writeOutputFile(file, bytes, force)
    yield* flags.json
      ? Output.json({ file, bytes: bytes.byteLength, files: parts.length + 1, problems })
      : Output.lines([
        `${file}: ${parts.length + 1} files, ${formatBytes(bytes.byteLength)}; doctor: ${summaryText(checks)}`,
        ...problems.map((problem) => `not in it: ${problem}`),
        "It has no keys, values or tokens; host names, addresses and folders it has. Read it before you send it."
      ].join("\n"))
  }).pipe(Effect.scoped, Effect.mapError(failureOf))).pipe(
    Command.withDescription(
      "Collect status, metrics, the state of Raft, doctor's findings, settings and the ends of logs in one archive. " +
        "Keys, values, names of users and secrets are left out. Made also when nodes are down; says what is missing."
    ),
    Command.withExamples([
      { command: "flaredb support-bundle support.tar.gz", description: "Of the local cluster" },
      {
        command: "flaredb support-bundle support.tar.gz --data-dir /var/lib/flaredb/node-1 --log node-1.log",
        description: "With the list of files of a node, and the end of its log"
      }
    ])
  )
