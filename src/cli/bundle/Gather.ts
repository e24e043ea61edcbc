/**
 * What a bundle is made of. Each part is read, redacted and cut to its bound by itself; what could not be read is a
 * line among the problems, and the bundle is made without it.
 */
import { Effect } from "effect"
import { closeSync, constants, fstatSync, openSync, readdirSync, readSync, statSync } from "node:fs"
import { availableParallelism, loadavg, release, totalmem, uptime } from "node:os"
import { basename, join } from "node:path"
import { notAFile } from "../../FileKind.ts"
import { ClusterAdmin } from "../../client/ClusterAdmin.ts"
import { errorText, unreadText } from "../../ErrorText.ts"
import { withoutWaiting } from "../../SmallFile.ts"
import { version } from "../../Version.ts"
import type { NodePlace } from "../input/NodesFlags.ts"
import { httpAddress, httpUnknown } from "../input/NodesFlags.ts"
import type { Ask } from "../nodes/NodePages.ts"
import {
  redactEnvironment,
  redactLogLine,
  redactMetrics,
  redactReport,
  redactStatus,
  withoutNames,
  withoutSecrets
} from "./Redact.ts"

export interface Part {
  readonly name: string
  readonly text: string
}

export interface Gathered {
  readonly parts: ReadonlyArray<Part>
  readonly problems: ReadonlyArray<string>
}

/** Most bytes of one part; what is beyond is cut, with a line that says so. */
export const maxPartBytes = 4 * 1024 * 1024

/** The end of a log that is taken, in bytes. */
const logTailBytes = 1024 * 1024

/** Files of a directory that are listed at most. */
const maxListed = 5_000

export const bounded = (text: string): string => {
  const bytes = Buffer.from(text)
  return bytes.byteLength <= maxPartBytes
    ? text
    : `${bytes.subarray(0, maxPartBytes).toString("utf8")}\n[cut: ${bytes.byteLength} bytes]\n`
}

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`

const plain = (text: string): string => text

const pages: ReadonlyArray<readonly [path: string, name: string, redact: (text: string) => string]> = [
  ["/metrics", "metrics.txt", redactMetrics],
  ["/status", "status.json", (text) => json(redactStatus(JSON.parse(text)))],
  ["/debug/raft", "debug-raft.json", (text) => json(redactReport(JSON.parse(text)))],
  ["/readyz", "readyz.txt", plain]
]

/** The pages of one node's HTTP port. */
const nodePages = Effect.fnUntraced(function*(place: NodePlace, ask: Ask) {
  const parts: Array<Part> = []
  const problems: Array<string> = []
  const address = httpAddress(place)
  if (address === undefined) return { parts, problems: [`${place.name}: ${httpUnknown}`] }
  // All at once: a node that hangs costs the time of one page, and not of each.
  const found = yield* Effect.forEach(pages, ([path, name, redact]) => {
    const file = `nodes/${place.address?.id ?? place.name}/${name}`
    return Effect.match(
      Effect.flatMap(ask(address, path), (text) => Effect.try({ try: () => redact(text), catch: errorText })),
      { onSuccess: (text) => ({ file, text }), onFailure: (problem) => ({ file, problem }) }
    )
  }, { concurrency: "unbounded" })
  for (const page of found) {
    if ("text" in page) parts.push({ name: page.file, text: page.text })
    else problems.push(`${page.file}: ${withoutNames(page.problem)}`)
  }
  return { parts, problems } satisfies Gathered
})

/** What the nodes say of themselves, at both ports. */
export const clusterParts = Effect.fnUntraced(function*(places: ReadonlyArray<NodePlace>, ask: Ask) {
  const answers = yield* (yield* ClusterAdmin).status
  const found = yield* Effect.forEach(places, (place) => nodePages(place, ask), { concurrency: "unbounded" })
  const reports = answers.map(({ endpoint, problem, report }) => report ?? { endpoint, problem })
  return {
    parts: [{ name: "reports.json", text: json(redactReport(reports)) }, ...found.flatMap(({ parts }) => parts)],
    problems: [
      ...answers.flatMap(({ endpoint, problem }) =>
        problem === undefined ? [] : [`${endpoint}: ${withoutNames(problem)}`]
      ),
      ...found.flatMap(({ problems }) => problems)
    ]
  } satisfies Gathered
})

const listing = (folder: string): string => {
  const lines: Array<string> = []
  const open = [""]
  for (let at = open.pop(); at !== undefined && lines.length < maxListed; at = open.pop()) {
    for (const entry of readdirSync(join(folder, at), { withFileTypes: true })) {
      const name = join(at, entry.name)
      const stats = statSync(join(folder, name), { throwIfNoEntry: false })
      if (stats === undefined) continue
      lines.push(`${(stats.mode & 0o7777).toString(8)} ${stats.size} ${stats.mtime.toISOString()} ${name}`)
      if (entry.isDirectory()) open.push(name)
    }
  }
  return `${lines.sort().join("\n")}\n`
}

/** The end of a file, from the first whole line on. */
const tail = (path: string): string => {
  const file = openSync(path, constants.O_RDONLY | withoutWaiting)
  try {
    const found = fstatSync(file)
    if (!found.isFile()) throw new Error(notAFile(found))
    const { size } = found
    const buffer = Buffer.alloc(Math.min(size, logTailBytes))
    const read = readSync(file, buffer, 0, buffer.byteLength, size - buffer.byteLength)
    const text = buffer.toString("utf8", 0, read)
    return size > logTailBytes ? text.slice(text.indexOf("\n") + 1) : text
  } finally {
    closeSync(file)
  }
}

const attempt = (name: string, read: () => string): Gathered => {
  try {
    return { parts: [{ name, text: read() }], problems: [] }
  } catch (error) {
    return { parts: [], problems: [`${name}: ${unreadText(error)}`] }
  }
}

/** A name that an archive can have, from a path. */
const fileName = (path: string, i: number): string =>
  `${i + 1}-${basename(path).replace(/[^A-Za-z0-9._-]/g, "_").slice(0, 60)}`

/** What this machine has: versions, variables, the list of files, and the ends of logs that were named. */
export const machineParts = (dataDir: string | undefined, logs: ReadonlyArray<string>): Gathered => {
  const found = [
    attempt("machine.json", () =>
      json({
        flaredb: version,
        versions: process.versions,
        platform: `${process.platform}-${process.arch}`,
        kernel: release(),
        processors: availableParallelism(),
        load: loadavg(),
        memoryBytes: totalmem(),
        uptimeSeconds: Math.round(uptime())
      })),
    attempt("environment.json", () => json(redactEnvironment(process.env))),
    ...dataDir === undefined ? [] : [attempt("directory.txt", () => listing(dataDir))],
    ...logs.map((path, i) =>
      attempt(`logs/${fileName(path, i)}`, () => withoutSecrets(tail(path)).split("\n").map(redactLogLine).join("\n"))
    )
  ]
  return { parts: found.flatMap(({ parts }) => parts), problems: found.flatMap(({ problems }) => problems) }
}
