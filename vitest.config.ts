import { availableParallelism } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { defineConfig } from "vitest/config"
import type { TestSpecification } from "vitest/node"
import { BaseSequencer } from "vitest/node"
import { mutate } from "./test/simulation/mutants/Mutant.ts"
import { mutants, mutantVariable } from "./test/simulation/mutants/Mutants.ts"
import { entryPoints } from "./test/Sources.ts"

/** Puts the bug that the environment names into the sources: `npm run mutants` asks for it, to see that a test finds it. */
const mutant = mutants.find(({ name }) => name === process.env[mutantVariable])
const source = join(import.meta.dirname, "src/")
const withMutant = mutant === undefined ? [] : [{
  name: "mutant",
  enforce: "pre" as const,
  transform: (code: string, id: string) => id.startsWith(source) ? mutate(mutant, id.slice(source.length), code) : code
}]

/**
 * Vite loads the modules where something is put in their place: a mutant, or `vi.mock`. Its aliases are sought by the
 * beginning of a name, so the longest come first.
 */
const throughVite = {
  resolve: { alias: Object.entries(entryPoints).toReversed().map(([find, replacement]) => ({ find, replacement })) },
  plugins: withMutant
}

/**
 * Elsewhere Node loads them as they are. Vite makes a look-up in a table of each use of an import, and its main process
 * hands every module to every worker. Node keeps what it compiled for the next run.
 */
const throughNode = {
  execArgv: ["--import", pathToFileURL(join(import.meta.dirname, "test/UseSources.ts")).href],
  env: { NODE_COMPILE_CACHE: join(import.meta.dirname, "node_modules/.cache/flaredb-tests") },
  experimental: { viteModuleRunner: false, nodeLoader: false }
}
const unlessMutant = mutant === undefined ? throughNode : {}

/** Files at a time: of those that start no process each takes two thirds of a core, and of real processes a third. */
const maxWorkers = 2 * Math.max(2, availableParallelism())

/** Files that take long, in the order of their times: one that began among the last would be waited for alone. */
const longest = [
  "processes/deploy/guide",
  "cluster/actors-chaos",
  "cluster/actors-examples",
  "cluster/lock-command",
  "cluster/import-etcd",
  "cluster/console",
  "cluster/actors-bank",
  "cluster/actors-persistence",
  "cluster/upgrade",
  "cluster/sessions",
  "cluster/name-server",
  "cluster/rotate-certificates",
  "cluster/binary",
  "cluster/actors-eventlog",
  "cluster/watch",
  "cluster/stale-leader",
  "cluster/job-queue",
  "cluster/session-attacks",
  "cluster/leader-loss",
  "cluster/bench-command",
  "cluster/limits-filled",
  "cluster/help-at-night",
  "cluster/walk",
  "cluster/identity",
  "cluster/replication",
  "cluster/leases",
  "cluster/backup",
  "cluster/secured-actors",
  "cluster/snapshots",
  "cluster/actors-crashes"
].map((name) => `/test/${name}.test.ts`)

/** Vitest knows what a file took in an earlier run, and in a clone begins with those that have the most to read. */
class LongestFirst extends BaseSequencer {
  override async sort(files: Array<TestSpecification>): Promise<Array<TestSpecification>> {
    const rank = ({ moduleId }: TestSpecification) => longest.findIndex((name) => moduleId.endsWith(name))
    const sorted = await super.sort(files)
    const [others, long] = [sorted.filter((file) => rank(file) === -1), sorted.filter((file) => rank(file) !== -1)]
    long.sort((a, b) => rank(a) - rank(b))
    // The others of a project stay together, because a worker is of one project and goes on only with a file of the same
    // one: next to it. So the project of the last of the long ones comes first.
    const projects = [...new Set([...long.toReversed(), ...others].map(({ project }) => project))]
    return [...long, ...projects.flatMap((one) => others.filter(({ project }) => project === one))]
  }
}

/** Lives, worlds, histories and damage that are drawn from seeds, most of which take as long as dozens of other files. */
const simulations = [
  "test/simulation/*.test.ts",
  "test/actors/races/*.test.ts",
  "test/actors/{event-log-interleavings,queue-races}.test.ts",
  "test/**/*.property.test.ts",
  "test/cli/backups/point-in-time.test.ts",
  "test/client/watch-resume.test.ts",
  "test/linearizability/checker.test.ts",
  "test/net/frames.test.ts",
  "test/protocol/{entry-record,fuzz}.test.ts",
  "test/raft/claims.test.ts",
  "test/storage/{damage,rocksdb-model,segments-model,write-back-model}.test.ts"
]

/** What opens and closes databases on a disk: a fifth of the processor time of all that starts no process. */
const storage = ["test/storage/*.test.ts"]

/**
 * What listens on ports of this machine, or dials some: TCP, TLS, HTTP, nodes embedded with all their ports. A third of the
 * processor time of what neither draws from seeds nor tests the storage.
 */
const ports = [
  "test/actors/{actors,migration}.test.ts",
  "test/cli/certificates/live-certificate.test.ts",
  "test/cli/import/etcd-calls.test.ts",
  "test/client/{Access,KeyValue,Lease,Lock,Mirror,Watch}.test.ts",
  "test/client/connection/TcpConnection.test.ts",
  "test/http/api/{access,conformance,documents,exact-requests,ids,keys,malformed,openapi,watch}.test.ts",
  "test/http/console/console-routes.test.ts",
  "test/http/{get-text,http-access,http-certificates,http-server,otlp-export,unread-answers}.test.ts",
  "test/net/{direct-calls,frame-socket,listening,look-ups,slow-answer,wrong-port}.test.ts",
  "test/net/tls/{certificate-matrix,intermediate-authorities,tls-port}.test.ts",
  "test/server/{audit,call-metrics,callers,gate,limits,lost-rights,spans,stale-roles,state-server,watch-over-tcp}.test.ts",
  "test/transport/{conformance,peer-clock,refusals}.test.ts",
  "test/upgrade/{handshakes,kept-data,level-on-disk}.test.ts"
]

/** What the projects that start no process have in common. */
const inProcess = {
  // Vitest keeps transformed modules between runs, and does not know that a mutant changed one.
  ...(mutant === undefined ? {} : { fsModuleCache: false }),
  setupFiles: ["test/Comparison.ts"],
  testTimeout: 60_000,
  // A layer of a file is built in a hook, which has as much time as a test.
  hookTimeout: 60_000,
  // Files of one worker share its modules: to load them took longer than most tests do.
  isolate: false,
  maxWorkers,
  sequence: { groupOrder: 0 }
}

/** What the projects that start processes have in common: they run what users run, `bin/flaredb.js` over `dist/`. */
const processes = {
  // Runners and examples are started from their sources, again and again: the kept code is for them too.
  ...throughNode,
  setupFiles: ["test/Comparison.ts"],
  globalSetup: ["test/processes/build.ts"],
  testTimeout: 300_000,
  hookTimeout: 180_000,
  pool: "forks" as const,
  // Files of one worker share its modules: what a test starts is in other processes, and loading Effect takes a second.
  isolate: false
}

/**
 * - `unit`, `ports`, `storage` and `simulation` start no process (`test/architecture/processes.test.ts` holds that).
 * - `unit` opens no socket either (`test/architecture/sockets.test.ts`).
 * - `processes` starts some, for a moment each.
 * - `cluster` starts nodes, which wait a lot; several files at a time.
 * - `alone` is what measures or fills the machine, one file at a time.
 */
export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    // What a test printed is shown when it fails.
    silent: "passed-only",
    projects: [
      {
        ...throughVite,
        test: {
          ...inProcess,
          ...unlessMutant,
          name: "unit",
          setupFiles: [...inProcess.setupFiles, "test/NoSockets.ts"],
          include: ["test/**/*.test.ts"],
          exclude: ["test/cluster/**", "test/processes/**", ...ports, ...storage, ...simulations]
        }
      },
      {
        ...throughVite,
        test: { ...inProcess, ...unlessMutant, name: "ports", include: ports }
      },
      {
        ...throughVite,
        test: { ...inProcess, name: "storage", include: storage, exclude: simulations }
      },
      {
        ...throughVite,
        test: { ...inProcess, ...unlessMutant, name: "simulation", include: simulations }
      },
      {
        test: {
          ...processes,
          name: "processes",
          include: ["test/processes/**/*.test.ts"],
          maxWorkers,
          sequence: { groupOrder: 1 }
        }
      },
      {
        test: {
          ...processes,
          name: "cluster",
          include: ["test/cluster/*.test.ts"],
          maxWorkers,
          sequence: { groupOrder: 1 }
        }
      },
      {
        test: {
          ...processes,
          name: "alone",
          include: ["test/cluster/alone/*.test.ts"],
          fileParallelism: false,
          sequence: { groupOrder: 2 }
        }
      }
    ]
  }
})
