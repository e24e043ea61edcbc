/**
 * `npm run bench:console-page [-- --builds dist/console,OTHER --rounds 3 --seconds 10]`: what an open overview costs the
 * machine of the one who looks. For each build of the page, by turns: a browser that shows it, and samples of a cluster
 * under load once a second from a server without a cluster. Prints medians of the processor time of all processes of the
 * browser in a second, once the page has been opened, and what of the page's own thread went to script, style and layout.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Effect } from "effect"
import { Command, Flag } from "effect/cli"
import { readFileSync } from "node:fs"
import type { Server } from "node:http"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import type { CDPSession } from "playwright-core"
import { machine } from "../src/cli/bench/Report.ts"
import { table } from "../src/cli/output/Table.ts"
import { browserProgram, launchBrowser } from "./Browsers.ts"
import { median } from "./Median.ts"

/** Samples that a page gets at once when it is opened, as after five minutes of looking. */
const history = 300

/** Until the page has drawn what was there when it was opened, in milliseconds. */
const settleMs = 3_000

const latency = (ms: number, count: number) => ({ p50Ms: ms / 2, p99Ms: ms, count })

/** A sample of three nodes under full load: each figure moves a little, as figures do. */
const sampleAt = (atMs: number) => {
  const wave = Math.sin(atMs / 7_000)
  const commit = Math.floor(atMs * 8) % 1e9
  const node = (nodeId: number) => ({
    endpoint: `127.0.0.1:700${nodeId}`,
    nodeId,
    problem: null,
    unreachableSinceMs: null,
    role: nodeId === 1 ? "leader" : "follower",
    membership: "voter",
    term: 2,
    leader: 1,
    commit,
    applied: commit - nodeId,
    firstIndex: 1,
    lastIndex: commit,
    version: "0.1.0",
    waiting: null,
    lag: Math.round(20 + 15 * wave) * (nodeId - 1),
    snapshot: null,
    commitLatency: nodeId === 1 ? latency(12 + 4 * wave, 8_000) : null,
    syncLatency: latency(3 + nodeId + wave, 700),
    slowSyncs: 0,
    clockAheadMs: 0,
    vitals: {
      uptimeMs: atMs % 1e8,
      stalls: 0,
      residentBytes: 300e6 + (atMs % 97_000) * 100,
      heapBytes: 90e6 + (atMs % 31_000) * 1_000,
      heapLimitBytes: 1_600e6,
      dataBytes: 500e6 + (atMs % 1e6) * 300,
      diskFreeBytes: 60e9 - (atMs % 1e6) * 900,
      diskBytes: 100e9,
      fullTables: []
    }
  })
  return {
    atMs,
    clusterId: "bench",
    identity: "bench",
    voters: [1, 2, 3],
    leader: 1,
    term: 2,
    writesPerSecond: 8_000 + 900 * wave + (atMs % 13) * 20,
    nodes: [node(1), node(2), node(3)],
    leaderChanges: [{ term: 2, leader: 1, atMs: atMs - 400_000 }],
    warnings: []
  }
}

const types: Readonly<Record<string, string>> = {
  html: "text/html",
  js: "text/javascript",
  css: "text/css",
  svg: "image/svg+xml"
}

/** Serves a build of the page, and what it asks for. */
const serve = (folder: string): Server =>
  createServer((request, response) => {
    const path = request.url ?? "/"
    if (path === "/console/calls/whoami") {
      response.setHeader("content-type", "application/json")
      return response.end(JSON.stringify({ name: null, overview: true, keys: true, parts: [] }))
    }
    if (path === "/console/events") {
      response.setHeader("content-type", "text/event-stream")
      const send = (samples: ReadonlyArray<object>) =>
        response.write(`event: samples\ndata: ${JSON.stringify(samples)}\n\n`)
      const nowMs = Date.now()
      send(Array.from({ length: history }, (_, at) => sampleAt(nowMs - (history - at) * 1_000)))
      const timer = setInterval(() => send([sampleAt(Date.now())]), 1_000)
      return response.on("close", () => clearInterval(timer))
    }
    const name = path === "/" ? "index.html" : path.replace("/console/", "")
    response.setHeader("content-type", types[name.split(".").at(-1) ?? ""] ?? "text/plain")
    return response.end(readFileSync(join(folder, name)))
  })

/** What Chromium calls what the page's own thread does, and the heading of its column. */
const parts = [
  ["ScriptDuration", "SCRIPT"],
  ["RecalcStyleDuration", "STYLE"],
  ["LayoutDuration", "LAYOUT"],
  ["TaskDuration", "ALL OF THE PAGE'S THREAD"]
] as const

/** Processor time in milliseconds for each second. */
interface Cost {
  readonly all: number
  readonly kinds: Readonly<Record<string, number>>
  readonly page: Readonly<Record<string, number>>
}

const pageTimes = async (session: CDPSession): Promise<Readonly<Record<string, number>>> => {
  const { metrics } = await session.send("Performance.getMetrics")
  return Object.fromEntries(metrics.map(({ name, value }) => [name, value * 1_000]))
}

interface Look {
  readonly seconds: number
  readonly width: number
  readonly height: number
}

const listening = (folder: string) =>
  Effect.acquireRelease(
    Effect.callback<Server>((resume) => {
      const server = serve(folder)
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) =>
      Effect.sync(() => {
        server.closeAllConnections()
        server.close()
      })
  )

/** What `after` has more than `before`, in a second of `seconds`. */
const perSecond = (
  after: Readonly<Record<string, number>>,
  before: Readonly<Record<string, number>>,
  seconds: number
): Readonly<Record<string, number>> =>
  Object.fromEntries(Object.entries(after).map(([name, ms]) => [name, (ms - (before[name] ?? 0)) / seconds]))

const once = Effect.fnUntraced(function*(folder: string, { height, seconds, width }: Look) {
  const server = yield* listening(folder)
  const { browser, processorTime } = yield* launchBrowser(browserProgram)
  return yield* Effect.promise(async (): Promise<Cost> => {
    const page = await browser.newPage({ viewport: { width, height } })
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
    await page.getByRole("status").waitFor({ timeout: 60_000 })
    await page.waitForTimeout(settleMs)
    const session = await page.context().newCDPSession(page)
    await session.send("Performance.enable", { timeDomain: "threadTicks" })
    const [before, pageBefore] = [processorTime(), await pageTimes(session)]
    const begin = performance.now()
    await page.waitForTimeout(seconds * 1_000)
    const [after, pageAfter] = [processorTime(), await pageTimes(session)]
    const took = (performance.now() - begin) / 1_000
    const kinds = perSecond(after, before, took)
    const all = Object.values(kinds).reduce((sum, ms) => sum + ms, 0)
    return { all, kinds, page: perSecond(pageAfter, pageBefore, took) }
  })
}, Effect.scoped)

const bench = Command.make("bench:console-page", {
  builds: Flag.String("builds").pipe(Flag.withDescription("folders, by turns"), Flag.withDefault("dist/console")),
  rounds: Flag.Int("rounds").pipe(Flag.withDefault(3)),
  seconds: Flag.Int("seconds").pipe(Flag.withDefault(10)),
  width: Flag.Int("width").pipe(Flag.withDefault(1_280)),
  height: Flag.Int("height").pipe(Flag.withDefault(720))
}, ({ builds, height, rounds, seconds, width }) =>
  Effect.gen(function*() {
    const folders = builds.split(",")
    const results = new Map<string, Array<Cost>>(folders.map((folder) => [folder, []]))
    for (let round = 0; round < rounds; round++) {
      for (const folder of folders) {
        const cost = yield* once(folder, { seconds, width, height })
        results.get(folder)?.push(cost)
        yield* Console.error(`${folder}: ${cost.all.toFixed(1)} ms in a second`)
      }
    }
    yield* Console.log(`${machine()}; medians of ${rounds} rounds of ${seconds} s by turns, milliseconds in a second`)
    const of = (folder: string, figure: (cost: Cost) => number) =>
      median((results.get(folder) ?? []).map(figure)).toFixed(1)
    const kinds = ["browser", "gpu-process", "renderer", "utility"]
    const figures: ReadonlyArray<(cost: Cost) => number> = [
      ({ all }) => all,
      ...kinds.map((kind) => ({ kinds: found }: Cost) => found[kind] ?? 0),
      ...parts.map(([name]) => ({ page }: Cost) => page[name] ?? 0)
    ]
    const rows = folders.map((folder) => [folder].concat(figures.map((figure) => of(folder, figure))))
    const header = [
      "BUILD",
      "ALL PROCESSES",
      ...kinds.map((kind) => kind.toUpperCase()),
      ...parts.map(([, heading]) => heading)
    ]
    yield* Console.log(table([header, ...rows]))
  }))

bench.pipe(Command.run({ version: "1" }), Effect.provide(NodeServices.layer), NodeRuntime.runMain)
