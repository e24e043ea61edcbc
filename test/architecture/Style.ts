/**
 * What the style of the sources is held to: lengths of lines, files and functions, and words that readers of the field
 * do not know. Functions are counted in the syntax tree, words are looked for in comments, texts and documents.
 */
import { parseAst } from "rolldown/parseAst"
import type { SourceFile } from "./Imports.ts"

/** Most columns of a line of the sources, lines of a file, and lines of a function. */
export const maxColumns = 120
export const maxFileLines = 400
export const maxFunctionLines = 80

/** A function and how long it is. `name` is what it is bound to, or the nearest name around it. */
export interface FunctionLength {
  readonly name: string
  readonly lines: number
}

interface SyntaxNode {
  readonly type: string
  readonly start: number
  readonly end: number
}

const isNode = (value: unknown): value is SyntaxNode =>
  typeof value === "object" && value !== null && "type" in value && typeof value.type === "string"

const nameIn = (value: unknown): string | undefined =>
  typeof value === "object" && value !== null && "name" in value && typeof value.name === "string"
    ? value.name
    : undefined

const named = new Set([
  "VariableDeclarator",
  "FunctionDeclaration",
  "MethodDefinition",
  "PropertyDefinition",
  "Property"
])
const functions = new Set(["FunctionDeclaration", "FunctionExpression", "ArrowFunctionExpression"])
const texts = new Set(["Literal", "TemplateElement"])
const imports = new Set(["ImportDeclaration", "ExportNamedDeclaration", "ExportAllDeclaration"])

/** Calls `visit` with every node of a source, the outer ones first, and the name that it stands under. */
const walk = (node: unknown, name: string, visit: (node: SyntaxNode, name: string) => void): void => {
  if (Array.isArray(node)) {
    for (const each of node) walk(each, name, visit)
    return
  }
  if (!isNode(node)) return
  const fields = node as unknown as Readonly<Record<string, unknown>>
  const own = named.has(node.type) ? nameIn(fields["id"]) ?? nameIn(fields["key"]) ?? name : name
  visit(node, own)
  for (const field in fields) walk(fields[field], own, visit)
}

/** What the checks ask of a source's syntax tree. */
interface Outline {
  readonly functions: ReadonlyArray<{ readonly name: string; readonly start: number; readonly end: number }>
  /** Where each name stands first. */
  readonly names: ReadonlyMap<string, number>
  /** The texts, in order, and where those begin that are paths of imports. */
  readonly texts: ReadonlyArray<readonly [start: number, end: number]>
  readonly paths: ReadonlySet<number>
}

const outlined = (text: string): Outline => {
  const found = {
    functions: [] as Array<{ name: string; start: number; end: number }>,
    names: new Map<string, number>(),
    texts: [] as Array<readonly [number, number]>,
    paths: new Set<number>()
  }
  walk(parseAst(text, { lang: "ts" }).body, "module", (node, name) => {
    const { end, start, type } = node
    if (functions.has(type)) found.functions.push({ name, start, end })
    if (texts.has(type)) found.texts.push([start, end])
    if (imports.has(type) && "source" in node && isNode(node.source)) found.paths.add(node.source.start)
    const own = type === "Identifier" ? nameIn(node) : undefined
    if (own !== undefined && !found.names.has(own)) found.names.set(own, start)
  })
  found.texts.sort(([a], [b]) => a - b)
  return found
}

let last: { readonly text: string; readonly outline: Outline } | undefined

/** The outline of a source, which more than one check asks for in turn: the last one is kept, and not its tree. */
const outlineOf = (text: string): Outline => {
  if (last?.text !== text) last = { text, outline: outlined(text) }
  return last.outline
}

const lineFeedsIn = (text: string, start: number, end: number): number => {
  let count = 0
  for (let at = text.indexOf("\n", start); at !== -1 && at < end; at = text.indexOf("\n", at + 1)) count += 1
  return count
}

/** The functions of a source that have more lines than `most`, the longest of each name. */
export const longFunctions = (text: string, most = maxFunctionLines): ReadonlyArray<FunctionLength> => {
  const longest = new Map<string, number>()
  for (const { end, name, start } of outlineOf(text).functions) {
    const lines = lineFeedsIn(text, start, end) + 1
    if (lines > Math.max(most, longest.get(name) ?? 0)) longest.set(name, lines)
  }
  return [...longest].map(([name, lines]) => ({ name, lines }))
}

const blank = (text: string): string => text.replace(/[^\n]/g, " ")

/** `text` with everything blank but for `ranges`, which are in order and do not overlap. */
const only = (text: string, ranges: ReadonlyArray<readonly [number, number]>): string => {
  let shown = ""
  let at = 0
  for (const [start, end] of ranges) {
    shown += blank(text.slice(at, start)) + text.slice(start, end)
    at = end
  }
  return shown + blank(text.slice(at))
}

/** Comments and texts of a source, with everything else blank, so that lines keep their numbers. */
export const proseOf = (text: string): string => {
  const { paths, texts: inTexts } = outlineOf(text)
  let code = ""
  let at = 0
  for (const [start, end] of inTexts) {
    code += text.slice(at, start) + blank(text.slice(start, end))
    at = end
  }
  code += text.slice(at)
  const comments = [...code.matchAll(/\/\*[\s\S]*?\*\/|\/\/.*/g)].map(({ 0: comment, index }) =>
    [index, index + comment.length] as const
  )
  // Names in comments are those of the code, and change with it.
  const inComments = only(code, comments).replace(/\{@link [^}]*\}|`[^`\n]*`/g, blank)
  const shown = only(text, inTexts.filter(([start]) => !paths.has(start)))
  const lines = shown.split("\n")
  return inComments.split("\n").map((line, i) => `${line} ${lines[i]}`).join("\n")
}

/** Words that a reader of the field would not look for, and the ones to use. */
export const banned: ReadonlyArray<readonly [word: RegExp, instead: string]> = [
  [/\breigns?\b/i, "the term of a leader"],
  [/\b(?:its|an|the) office\b|\bout of office\b|\bin office\b/i, "becomes leader, leads, steps down"],
  [/\bhousekeeping\b/i, "expiry and compaction"],
  [/\bdoomed\b/i, "to be deleted"],
  [/\brouse[sd]?\b/i, "notify"],
  [/\blet(?:s|ting)? go of\b/i, "release"],
  [/\bpatiently\b/i, "retries without a limit"],
  [/\bintroductions?\b/i, "peer handshakes"],
  [/\barrivals\b/i, "inbound snapshots"],
  [/\btroubles?\b/i, "errors, failures"],
  [/\boffen[cs]es?\b/i, "protocol violations"],
  [/\bexpel(?:s|led)?\b/i, "close the connection"],
  [/\bexcuses?\b/i, "expected failure"],
  [/\bweather\b/i, "fault profile"],
  [/\banew\b/i, "again, from the beginning"],
  [/\bwhat stands\b/i, "what is written, what there is"],
  [/\b(?:is|are|was|were) told\b(?! apart)/i, "learns, gets; is sent"],
  [/\bon (?:its|their|the) way\b/i, "in flight, sent and not yet acknowledged"],
  [/\bwhoever\b/i, "the caller, the client: who it is"],
  [/\bnobody\b/i, "no client, no node: who it is"],
  [/\b(?:a|the) newcomer\b/i, "a node of unknown membership"],
  [/\b(?:its|the|a node's) standing\b/i, "the membership role of a node"],
  [/\bstamp(?:s|ed)?\b/i, "the timestamp of an entry, the id of a command"],
  [/\bbehind the fence\b/i, "behind the read barrier; fences are those of locks"],
  [/\bfigures of the store\b/i, "the metadata of the store"],
  [/\boffer(?:s|ed)? (?:a|the) snapshots?\b/i, "asks to send a snapshot"]
]

/** What documents may say, and comments and texts of the sources may not: there something more exact is meant. */
export const bannedInSources: typeof banned = [...banned, [
  /\bmoments?\b/i,
  "time, timestamp, revision, log position, when"
]]

/** Names that were words of this code alone, and the ones to use. Fences are those of locks and shards, in `actors/`. */
export const bannedNames: ReadonlyArray<readonly [name: RegExp, instead: string, allowed?: RegExp]> = [
  [/^(?:standing|Standing|newcomer)$/, "membership, MembershipRole"],
  [/^(?:figures|noFigures|StoreFigures|StoredFigures|figuresKey)$/, "StoreMetadata", /^(?:http|cli)\//],
  [/^fence$/, "readBarrier", /^actors\//],
  [/^(?:stamp|stamps|stamped|stampMs|SessionStamp)$/, "timestampMs, CommandId"],
  [/^(?:SnapshotOffer|SnapshotOffered|SnapshotSink|Taker)$/, "SnapshotRequest, SnapshotStream, acceptor"],
  [/^covered$/, "upToDate", /^actors\//],
  [/^(?:[oO]ffences?|OffenceKind|expel|expelUnsafe)$/, "ProtocolViolations, violation, closeFor"],
  [/^(?:[dD]raft|loadDoomed)$/, "WriteSet, loadForDelete"],
  [/^(?:Slots|SlotLimits|IdentitySlot)$/, "an entry, a row, permits: what is held"],
  // On the wire an operation's index in its call is called slot; a hash table has slots.
  [
    /^[sS]lot$/,
    "index, commandIndex",
    /^(?:protocol\/|server\/BatchAnswers|client\/connection\/TcpConnection|client\/session\/CallTraces|node\/OperationSpans|storage\/rocksdb\/KeyFilter)/
  ],
  [/^exportBehind$|[mM]oment/, "timeMs, timestampMs, ApplyContext, RecoveryTarget, marker, exportAtMarker"],
  [/^(?:doubt(?:ed|ful|s)?|isDoubtful)$/, "ambiguous, markAmbiguous", /^actors\//],
  [/^armed$/, "alarmTicks, ready"],
  [/^(?:[tT]roubles?|describeTroubles)$/, "EndpointErrors, lastErrors"],
  [/^(?:LineFailure|LineParts|untilHead|patiently)$/, "WaitQueueFailure, waitForTurn, retryForever"],
  [/^beginningWith$/, "rotatedTo"]
]

/** The lines of a text that have a banned word, as `line: word`. */
export const bannedWords = (text: string, words = banned): ReadonlyArray<string> => {
  // Most texts have none, and are read once for each word.
  const inText = words.filter(([word]) => word.test(text))
  if (inText.length === 0) return []
  return text.split("\n").flatMap((line, i) =>
    inText.flatMap(([word, instead]) => {
      const found = word.exec(line)
      return found === null ? [] : [`${i + 1}: "${found[0]}" (${instead})`]
    })
  )
}

/** The banned names that a source declares or uses, as `line: name`. */
export const bannedNamesOf = ({ path, text }: SourceFile): ReadonlyArray<string> => {
  return [...outlineOf(text).names].flatMap(([name, start]) => {
    const banned = bannedNames.find(([word, , allowed]) => word.test(name) && allowed?.test(path) !== true)
    return banned === undefined ? [] : [`${path}:${lineFeedsIn(text, 0, start) + 1}: "${name}" (${banned[1]})`]
  })
}

/** The lines of a file that are too wide. */
export const wideLines = ({ path, text }: SourceFile): ReadonlyArray<string> =>
  text.split("\n").flatMap((line, i) => line.length > maxColumns ? [`${path}:${i + 1} has ${line.length} columns`] : [])

/** The file, when it is too long. */
export const longFile = ({ path, text }: SourceFile): ReadonlyArray<string> => {
  // A file ends with a line feed, so the last line is empty.
  const lines = text.split("\n").length - 1
  return lines > maxFileLines ? [`${path} has ${lines} lines`] : []
}
