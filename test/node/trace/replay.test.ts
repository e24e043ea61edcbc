/** A trace gives the same outputs again, and says where the core does something else. */
import { assert, describe, it } from "@effect/vitest"
import { Replay } from "../../../src/node/trace/Replay.ts"
import { parseLine, snapshotRequestLine, startLine, stepLine } from "../../../src/node/trace/TraceLine.ts"
import { coreDefaults } from "../../../src/testing/CoreDefaults.ts"
import type { Event } from "../../../src/raft/Event.ts"
import * as Raft from "../../../src/raft/Raft.ts"
import { LogIndex, NodeId, origin, Term } from "../../../src/raft/Types.ts"

const config = { ...coreDefaults, id: NodeId(1), voters: [NodeId(1)] }
const recovered = {
  hardState: { term: Term(0), votedFor: undefined, commit: LogIndex(0) },
  compacted: origin,
  lastIndex: LogIndex(0),
  termRuns: [],
  applied: LogIndex(0)
}

/** A node of one that elects itself, and takes a command. */
const events: ReadonlyArray<Event> = [
  ...Array.from({ length: coreDefaults.electionTicksMax }, () => ({ _tag: "Tick" as const })),
  { _tag: "Persisted", persistId: 1 },
  { _tag: "Propose", proposals: [{ id: 7, payload: Uint8Array.of(0, 255, 10) }], nowMs: 1_000 },
  { _tag: "Persisted", persistId: 3 },
  { _tag: "Applied", index: LogIndex(1) },
  { _tag: "Applied", index: LogIndex(2) }
]

const trace = (): Array<string> => {
  const raft = Raft.make(config, recovered)
  return [startLine(config, recovered), ...events.map((event) => stepLine(event, Raft.step(raft, event)))]
}

const replayed = (lines: ReadonlyArray<string>) => {
  const replay = new Replay()
  return { replay, found: lines.map((line) => replay.take(line)).filter((found) => found !== undefined) }
}

describe("a trace", () => {
  it("is one line each, and holds bytes as they are", () => {
    const lines = trace()
    for (const line of lines) assert.notInclude(line, "\n")
    const proposed = lines.map(parseLine).find((line) =>
      typeof line !== "string" && line._tag === "Step" && line.event._tag === "Propose"
    )
    assert.deepInclude(proposed as object, { event: events[coreDefaults.electionTicksMax + 1] })
  })

  it("gives the same outputs again, over several starts and a line that was cut off", () => {
    const lines = trace()
    const cut = (lines[5] as string).slice(0, 20)
    const request = snapshotRequestLine({ from: NodeId(1), point: origin, term: Term(1) })
    const { found, replay } = replayed([...lines, request, cut, ...trace(), cut])
    assert.deepStrictEqual(found, [])
    assert.deepStrictEqual([replay.starts, replay.steps], [2, 2 * events.length])
  })

  it("is read with the words of older versions", () => {
    const voters = [NodeId(1), NodeId(2), NodeId(3)]
    const line = startLine({ ...config, voters }, {
      ...recovered,
      hardState: { ...recovered.hardState, membership: "unknown" }
    })
    const lines = [...trace(), line]
    const older = lines.map((each) =>
      each.replaceAll(`"timestampMs":`, `"stampMs":`).replaceAll(`"membership":"unknown"`, `"standing":"newcomer"`)
    )
    assert.isAbove(older.filter((each, i) => each !== lines[i]).length, 1)
    assert.deepStrictEqual(older.map(parseLine), lines.map(parseLine))
    assert.deepStrictEqual(replayed(older).found, [])
  })

  it("says at which line the core does something else, and what", () => {
    const lines = trace()
    const at = coreDefaults.electionTicksMax + 2
    const other = (lines[at] as string).replace(/"persistId":(\d+)/, "\"persistId\":99")
    assert.notStrictEqual(other, lines[at])
    const { found } = replayed([...lines.slice(0, at), other])
    assert.strictEqual(found.length, 1)
    const [difference] = found
    if (typeof difference !== "object") return assert.fail("it is a difference")
    assert.strictEqual(difference.line, at + 1)
    assert.match(difference.event, /propose/i)
    assert.notDeepEqual(difference.traced, difference.replayed)
  })

  it("refuses what is no trace", () => {
    const [start = "", first = ""] = trace()
    assert.deepStrictEqual(replayed([first]).found, ["line 1 comes before the start of a node"])
    assert.deepStrictEqual(replayed([start, "{}", first]).found, ["line 2 is neither a start nor a step"])
    assert.deepStrictEqual(replayed([start, "x", "y"]).found, ["line 2 is not JSON"])
    assert.match(String(parseLine("{\"start\":3}")), /has format 3, and this version reads 1 to 2/)
  })
})
