/**
 * The import rules of the source tree, and a checker that holds any set of files against them.
 *
 * Imports only go downwards: what decides (`raft/`, `kv/model/`) knows nothing of what runs it, and what a module may
 * touch of the outside world can be read off its folder.
 */
import { dirname, join } from "node:path/posix"

/** One file: its path inside `src/` with slashes, and its text. */
export interface SourceFile {
  readonly path: string
  readonly text: string
}

/**
 * The layers, lowest first. A file may import from its own layer and from any lower tier; layers that share a tier do
 * not know each other. A layer is a folder, or a file at the top of `src/`.
 */
export const tiers: ReadonlyArray<ReadonlyArray<string>> = [
  ["bytes"],
  ["raft"],
  ["kv/model"],
  ["net"],
  ["protocol", "certificates"],
  ["storage", "transport", "timer"],
  ["machine"],
  ["kv", "node"],
  ["client", "callers"],
  ["server"],
  ["http"],
  ["EmbeddedNode.ts"],
  ["FlareDb.ts"],
  ["actors"],
  ["testing", "index.ts"],
  ["cli"]
]

/** Vocabulary without behaviour: everybody above the pure layers may use it, and it uses nobody. */
const leaves = new Set([
  "BlockedThreads.ts",
  "BoundedTables.ts",
  "CoalescedSleep.ts",
  "DurationText.ts",
  "ErrorCode.ts",
  "ErrorText.ts",
  "FileKind.ts",
  "FlareDbError.ts",
  "LogLimiter.ts",
  "MetricBuckets.ts",
  "MetricSeries.ts",
  "Monotonic.ts",
  "PackageMissing.ts",
  "PipeFile.ts",
  "Printable.ts",
  "RandomBytes.ts",
  "RepeatedName.ts",
  "SecretFile.ts",
  "SmallFile.ts",
  "Version.ts",
  "WithoutUserInfo.ts",
  "config"
])

/** Layers that are functions of their arguments: no package, no I/O, no clock, no randomness, nothing of Node's. */
const pure = new Set(["bytes", "raft", "kv/model"])

/** What only the named files or folders may import, by the beginning of the module's name. */
const confined: ReadonlyArray<{ readonly module: RegExp; readonly allowed: ReadonlyArray<string> }> = [
  { module: /^rocksdb-native/, allowed: ["storage/rocksdb/"] },
  { module: /^@effect\/platform-node\/NodeSocket/, allowed: ["net/ServerProtocol.ts", "net/TcpServer.ts"] },
  { module: /^@effect\/platform-node\/NodeHttp/, allowed: ["http/", "actors/cluster/Transports.ts"] },
  { module: /^@effect\/platform-node\/NodeCluster/, allowed: ["actors/cluster/Transports.ts"] },
  { module: /^@effect\/platform-node(?!\/Node(?:Socket|Http|Cluster))/, allowed: ["cli/"] },
  {
    module: /^node:(?:net|tls|dgram)$/,
    allowed: [
      "cli/",
      "testing/",
      "http/HttpGuard.ts",
      "net/ClientProtocol.ts",
      "net/FrameSocket.ts",
      "net/ServerProtocol.ts",
      "net/tls/CertificateCheck.ts",
      "net/tls/FirstBytes.ts",
      "net/tls/TlsContext.ts",
      "net/tls/TlsDialling.ts",
      "net/tls/TlsPort.ts"
    ]
  },
  // Whatever else looks names up would do so in the threads that the disk needs, and without a limit.
  { module: /^node:dns/, allowed: ["net/NameService.ts"] },
  { module: /^node:https?$/, allowed: ["http/", "cli/import/"] },
  { module: /^node:child_process$/, allowed: ["cli/", "testing/"] },
  // Effect's modules that may still change within a major version are those with a lower-case name.
  {
    module: /^effect\/rpc/,
    allowed: [
      "net/",
      "protocol/",
      "transport/rpc/PeerLink.ts",
      "client/connection/",
      "server/",
      "actors/cluster/Transports.ts",
      "actors/state/DurableState.ts"
    ]
  },
  { module: /^effect\/socket/, allowed: ["net/", "actors/Actors.ts", "actors/cluster/Transports.ts"] },
  { module: /^effect\/http/, allowed: ["http/", "actors/Actors.ts", "actors/cluster/Transports.ts"] },
  { module: /^effect\/observability/, allowed: ["http/"] },
  { module: /^effect\/(?:cli|process)/, allowed: ["cli/"] },
  { module: /^effect\/(?:cluster|eventlog|persistence|workflow)/, allowed: ["actors/", "testing/"] },
  { module: /^effect\/sql$/, allowed: ["actors/migration/"] },
  { module: /^@effect\/sql-pg/, allowed: ["actors/migration/SqlDatabase.ts"] },
  { module: /^effect\/encoding/, allowed: ["actors/", "testing/"] },
  {
    module:
      /^effect\/(?!rpc|socket|http|observability|cli|process|cluster|eventlog|persistence|workflow|encoding|sql$)[a-z]/,
    allowed: []
  }
]

/** What a command says goes through one door, which escapes what others wrote; a load process speaks to its parent. */
const printers = new Set(["cli/output/Output.ts", "cli/output/Messages.ts", "cli/bench/Load.ts"])

const withoutComments = (text: string): string =>
  text.replace(/^\s*\/\*[\s\S]*?\*\//gm, "").replace(/^\s*\/\/.*$/gm, "")

/** What a file imports: static, re-exported, for effect, and dynamic. */
export const importsOf = (text: string): ReadonlyArray<string> => {
  const code = withoutComments(text)
  const statement = /^\s*(?:import|export)\s+(?:type\s)?(?:[\w*{}\s,]+?\sfrom\s+)?["']([^"']+)["']/gm
  const dynamic = /\bimport\(\s*["']([^"']+)["']/g
  return [...code.matchAll(statement), ...code.matchAll(dynamic)].map((match) => match[1] ?? "")
}

const layerOf = (path: string): string => path.startsWith("kv/model/") ? "kv/model" : path.split("/")[0] ?? path
const tierOf = (layer: string): number => tiers.findIndex((tier) => tier.includes(layer))

/** What is wrong with a file's import of another file of the tree, if anything. */
const internalProblem = (file: string, target: string): string | undefined => {
  const [from, to] = [layerOf(file), layerOf(target)]
  if (leaves.has(from)) return leaves.has(to) ? undefined : `a leaf imports ${target}`
  if (leaves.has(to)) return pure.has(from) ? `pure ${from}/ imports ${target}` : undefined
  if (from === to) return undefined
  if (tierOf(to) < 0) return `imports ${target}, which is in no layer`
  if (from === "kv/model" && to !== "bytes" && target !== "raft/Types.ts") {
    return `kv/model/ may take only raft/Types.ts and bytes/ from outside, not ${target}`
  }
  // One file composes: it has a store in memory, too.
  if (file === "actors/Actors.ts" && to === "FlareDb.ts") return undefined
  if (from === "actors" && to !== "client" && to !== "bytes") return `actors/ stands on client/ alone, not on ${target}`
  return tierOf(to) < tierOf(from) ? undefined : `${from} imports ${target}: ${to} is not below it`
}

/** What is wrong with a file's import of a package or of Node, if anything. */
const externalProblem = (file: string, specifier: string): string | undefined => {
  const layer = layerOf(file)
  if (pure.has(layer)) return `pure ${layer}/ imports ${specifier}`
  const rule = confined.find(({ module }) => module.test(specifier))
  return rule === undefined || rule.allowed.some((allowed) => file.startsWith(allowed))
    ? undefined
    : `imports ${specifier}, which only ${rule.allowed.join(", ") || "nobody"} may`
}

const importProblems = (file: SourceFile): ReadonlyArray<string> => {
  const problems = importsOf(file.text).map((specifier) =>
    specifier.startsWith(".")
      ? internalProblem(file.path, join(dirname(file.path), specifier))
      : externalProblem(file.path, specifier)
  )
  return problems.filter((problem) => problem !== undefined)
}

const impurities =
  /\b(?:Date\.now|new Date|Math\.random|performance\.|setTimeout|setInterval|queueMicrotask|process\.|Buffer\b)/

const contentProblems = ({ path, text }: SourceFile): ReadonlyArray<string> => {
  const problems: Array<string> = []
  const code = withoutComments(text)
  const layer = layerOf(path)
  if (tierOf(layer) < 0 && !leaves.has(layer)) problems.push("is in no layer: give it a place in `tiers`")
  if (pure.has(layer)) {
    const impurity = impurities.exec(code)
    if (impurity !== null) problems.push(`pure ${layer}/ uses ${impurity[0]}`)
  }
  if (/\bconsole\.\w/.test(code)) problems.push("writes to the console; log through Effect, or print through Console")
  if (!printers.has(path) && /import[^"']*\bConsole\b[^"']*from\s+["']effect/.test(code)) {
    problems.push("prints through Console, which only cli/output/Output.ts and cli/output/Messages.ts may")
  }
  if (/(?:^|\/)(?:utils?|helpers?|misc|common)(?:\.|\/)/i.test(path)) problems.push("is not named after what it holds")
  if (/\.slice\(\)/.test(code)) {
    problems.push("copies with slice(), which gives a view of a Buffer; use new Uint8Array(…)")
  }
  if (/\b(?:TODO|FIXME)\b/.test(text)) problems.push("leaves something to be done")
  return problems
}

/** Everything wrong with a set of files, one line each. */
export const violations = (files: ReadonlyArray<SourceFile>): ReadonlyArray<string> =>
  files.flatMap((file) =>
    [...importProblems(file), ...contentProblems(file)].map((problem) => `src/${file.path} ${problem}`)
  )
