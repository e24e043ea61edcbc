/**
 * `npm run test:package`: packs the package and installs it as its users do. What is in it; `publint` and
 * `@arethetypeswrong/cli` on the file; a client's project and a node's with the lowest and the highest Effect of the range,
 * types checked with `skipLibCheck` off, and run; the snippets of README. It needs the registry, so `npm test` leaves it out.
 */
import { execFileSync } from "node:child_process"
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict"
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { findPorts } from "../../src/cli/launch/FreePorts.ts"
import { nodePackages } from "../../src/PackageMissing.ts"
import { declarationsOfAll } from "../../tools/api/Pages.ts"
import { kindOf, membersOf } from "../../tools/api/Signature.ts"
import { bytesOf, cleanEnvironment, Consumer, pack, root } from "./Consumer.ts"

const publint = "publint@0.3.25"
const typesWrong = "@arethetypeswrong/cli@0.18.5"

/** The most that a client's project may have because of FlareDB, beside Effect itself. */
const mostClientBytes = 16 * 1024 * 1024

const { peerDependencies, exports, scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))
const entries = Object.keys(exports).filter((key) => key !== "./package.json").map((key) => `flaredb${key.slice(1)}`)

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`

let failures = 0
const check = (what: string, hold: () => string | undefined): void => {
  const begin = performance.now()
  try {
    const figure = hold()
    const took = `${((performance.now() - begin) / 1000).toFixed(1)} s`
    process.stdout.write(`ok: ${what}${figure === undefined ? "" : `: ${figure}`} (${took})\n`)
  } catch (error) {
    failures += 1
    process.stdout.write(`FAILED: ${what}: ${error instanceof Error ? error.message : String(error)}\n`)
  }
}

/** The versions of Effect within the range that the registry has, lowest first. */
const effectVersions = (): ReadonlyArray<string> => {
  const out = execFileSync("npm", ["view", `effect@${peerDependencies.effect}`, "version", "--json"], {
    env: cleanEnvironment(),
    encoding: "utf8"
  })
  const versions: string | ReadonlyArray<string> = JSON.parse(out)
  return typeof versions === "string" ? [versions] : versions
}

/** A program that uses the client; `FlareDb.layerMemory` has the whole store in one process, and no port. */
const clientProgram = `
import { Effect, Option } from "effect"
import { FlareDb } from "flaredb"
import { KeyValue, Locks, Watch } from "flaredb/client"
const program = Effect.gen(function*() {
  const kv = yield* KeyValue
  yield* kv.put("greeting", "hello")
  const found = yield* kv.get("greeting")
  console.log(Option.getOrThrow(found).text)
})
await Effect.runPromise(program.pipe(Effect.provide(FlareDb.layerMemory)))
const started = Effect.scoped(Effect.provide(KeyValue, FlareDb.layer({ nodeId: 1, dataDir: process.argv[2] })))
console.log(JSON.stringify(await Effect.runPromise(Effect.match(started, {
  onFailure: (error) => [error._tag, error.message],
  onSuccess: () => ["started"]
}))))
`

/** A node within a program: the only voter, on free ports. */
const nodeProgram = `
import { Effect, Option } from "effect"
import { FlareDb, FlareDbConfig, KeyValue } from "flaredb"
const [clientPort, peerPort, httpPort] = process.argv.slice(3).map(Number)
const nodes = [{ id: 1, host: "127.0.0.1", clientPort, peerPort, httpPort }]
const program = Effect.gen(function*() {
  const kv = yield* KeyValue
  yield* kv.put("greeting", "hello")
  console.log(Option.getOrThrow(yield* kv.get("greeting")).text)
})
const layer = FlareDb.layer({ nodeId: 1, nodes, dataDir: process.argv[2], unsafeNoFsync: true })
await Effect.runPromise(program.pipe(Effect.provide(layer)))
`

/**
 * A library that gives away what it infers. Every layer, and what the services of clients and machines do: the compiler
 * names no type that is not exported, and refuses to write the declarations (TS2883).
 */
const library = [
  "import { Effect } from \"effect\"",
  ...entries.map((name, i) => `import * as e${i} from "${name}"`),
  ...declarationsOfAll(root, exports).flatMap(([entry, name, declaration]) => {
    const path = `e${entries.indexOf(entry)}.${name}`
    const kind = kindOf(declaration)
    if (kind === "Layers") return [path]
    const isUsed = kind === "Services" && /client|machine/.test(entry) && name !== "ClientRequests"
    return isUsed ? membersOf(declaration).map((member) => `Effect.map(${path}, (it) => it.${member.name})`) : []
  }).map((value, i) => `export const given${i} = ${value}`)
].join("\n")

const allEntries = entries.map((name, i) => `export * as e${i} from "${name}"`).join("\n")

const folder = mkdtempSync(join(tmpdir(), "flaredb-package-"))
const { file, names } = pack(folder)

check("what is packed", () => {
  const has = (name: string) => ok(names.includes(name), `${name} is missing`)
  for (const name of ["README.md", "LICENSE", "CHANGELOG.md", "bin/flaredb.js", "docs/api/client.md"]) has(name)
  for (const name of ["dist/client/index.js", "dist/client/index.d.ts", "dist/cli/flaredb.js", "src/index.ts"]) {
    has(name)
  }
  const wanted = /^(?:bin|dist|src|docs|examples|deploy)\/|^(?:README|CHANGELOG)\.md$|^LICENSE$|^package\.json$/
  deepStrictEqual(names.filter((name) => !wanted.test(name)), [])
  strictEqual(scripts.prepare, scripts.build, "npm builds what it packs")
  const maps = names.filter((name) => name.endsWith(".d.ts.map"))
  ok(maps.length > 300, `only ${maps.length} declaration maps`)
  return `${names.length} files, ${megabytes(statSync(file).size)} packed`
})

check(publint, () => {
  execFileSync("npx", ["--yes", publint, file, "--strict"], { env: cleanEnvironment(), encoding: "utf8" })
  return undefined
})

check(typesWrong, () => {
  execFileSync("npx", ["--yes", typesWrong, file, "--profile", "esm-only", "--format", "json"], {
    env: cleanEnvironment(),
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024
  })
  return undefined
})

/** The blocks of TypeScript in README. */
const snippets = [...readFileSync(join(root, "README.md"), "utf8").matchAll(/^```ts\n([^]*?)^```/gm)].map(([, code]) =>
  code ?? ""
)

const clientWith = (version: string): void => {
  const client = new Consumer("client")
  try {
    check(`a client with effect ${version} installs nothing that only nodes need`, () => {
      client.install(file, `effect@${version}`)
      deepStrictEqual(client.packages(), ["effect", "flaredb"])
      const all = bytesOf(join(client.folder, "node_modules"))
      const own = all - bytesOf(join(client.folder, "node_modules/effect"))
      ok(own <= mostClientBytes, `FlareDB adds ${megabytes(own)}`)
      return `FlareDB adds ${megabytes(own)} to Effect's ${megabytes(all - own)}`
    })
    for (const resolution of ["nodenext", "bundler"] as const) {
      check(`its types with ${resolution}`, () => {
        client.write("all.ts", allEntries)
        strictEqual(client.typeErrors(resolution, ["all.ts"]), "")
        return undefined
      })
    }
    check("it runs, and a node without its packages says what to install", () => {
      client.write("client.js", clientProgram)
      const { code, err, out } = client.run(process.execPath, "client.js", join(client.folder, "data"))
      strictEqual(code, 0, err)
      match(out, /^hello$/m)
      match(out, /^\["PackageMissing",".*npm install \\"@effect\/platform-node@/m)
      const started = client.run(process.execPath, "node_modules/flaredb/bin/flaredb.js", "start", "--node-id", "1")
      strictEqual(started.code, 1)
      match(started.err, /rocksdb-native.* not installed; .*npm install rocksdb-native@/)
      return undefined
    })
    check("the snippets of README have their imports, and their types fit", () => {
      ok(snippets.length > 2)
      const files = snippets.map((code, i) => {
        client.write(`snippet-${i}.ts`, code)
        return `snippet-${i}.ts`
      })
      strictEqual(client.typeErrors("nodenext", files), "")
      return `${snippets.length}`
    })
  } finally {
    client.remove()
  }
}

const nodeWith = (version: string): void => {
  const node = new Consumer("node")
  try {
    check(`a node with effect ${version} has one copy of it`, () => {
      node.install(file, `effect@${version}`, ...nodePackages, "@types/node@24")
      ok(!existsSync(join(node.folder, "node_modules/flaredb/node_modules")))
      const { out } = node.run("npm", "ls", "effect", "--all", "--parseable")
      strictEqual(new Set(out.trim().split("\n")).size, 1, out)
      return megabytes(bytesOf(join(node.folder, "node_modules")))
    })
    for (const resolution of ["nodenext", "bundler"] as const) {
      check(`its types with ${resolution}`, () => {
        node.write("all.ts", allEntries)
        node.write("library.ts", library)
        strictEqual(node.typeErrors(resolution, ["all.ts", "library.ts"], "node"), "")
        return undefined
      })
    }
    check("it runs within a program", () => {
      node.write("node.js", nodeProgram)
      const { code, err, out } = node.run(process.execPath, "node.js", join(node.folder, "data"), ...ports.map(String))
      strictEqual(code, 0, err)
      match(out, /^hello$/m)
      return undefined
    })
  } finally {
    node.remove()
  }
}

const versions = effectVersions()
process.stdout.write(`effect ${peerDependencies.effect}: the registry has ${versions.join(", ")}\n`)
const ports = await findPorts(3)
for (const version of new Set([versions[0] ?? "", versions.at(-1) ?? ""])) {
  clientWith(version)
  nodeWith(version)
}

rmSync(folder, { recursive: true, force: true })
process.stdout.write(failures === 0 ? "the package is as it should be\n" : `${failures} checks failed\n`)
process.exitCode = failures === 0 ? 0 : 1
