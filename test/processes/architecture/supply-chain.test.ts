/** What is shipped is what the lock file, the SBOM and docs/supply-chain.md say, under licences that were agreed to. */
import { execFileSync } from "node:child_process"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "vitest"

const root = join(import.meta.dirname, "../../..")
const read = (name: string) => readFileSync(join(root, name), "utf8")

interface Sbom {
  readonly bomFormat: string
  readonly components: ReadonlyArray<{
    readonly name: string
    readonly version: string
    readonly licenses: ReadonlyArray<{ readonly license: { readonly id: string } }>
    readonly hashes: ReadonlyArray<{ readonly alg: string }>
  }>
}

interface Manifest {
  readonly peerDependencies: Readonly<Record<string, string>>
}

const sbom: Sbom = JSON.parse(
  execFileSync(process.execPath, ["tools/sbom.js"], { cwd: root, encoding: "utf8", maxBuffer: 64 * 1024 * 1024 })
)

/** Whatever the sources import that is not Node's own. */
const imported = (): ReadonlySet<string> => {
  const names = new Set<string>()
  for (const file of readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })) {
    if (!file.endsWith(".ts") || file.endsWith(".d.ts")) continue
    for (const [, name] of read(join("src", file)).matchAll(/from "((?:@[\w-]+\/)?[\w-]+)/g)) {
      if (name !== undefined && name !== "node") names.add(name)
    }
  }
  return names
}

describe("what is shipped", () => {
  it("is in the SBOM with version, licence and hash, and in docs/supply-chain.md", () => {
    assert.equal(sbom.bomFormat, "CycloneDX")
    const rows = sbom.components.map(({ hashes, licenses, name, version }) => {
      assert.deepEqual(hashes.map(({ alg }) => alg), ["SHA-512"], name)
      return `| ${name} | ${version} | ${licenses.map(({ license }) => license.id).join()} |`
    })
    assert.deepEqual(read("docs/supply-chain.md").split("\n").filter((line) => /^\| .* \d/.test(line)), rows)
  })

  it("has no licence but MIT and Apache-2.0", () => {
    for (const { licenses, name } of sbom.components) {
      for (const { license } of licenses) assert.include(["MIT", "Apache-2.0"], license.id, name)
    }
  })

  it("holds every direct dependency and every package that the sources import, and no peer that they do not", () => {
    const shipped = new Set(sbom.components.map(({ name }) => name))
    const { peerDependencies }: Manifest = JSON.parse(read("package.json"))
    // Who migrates from PostgreSQL installs this one.
    const { "@effect/sql-pg": driver, ...needed } = peerDependencies
    assert.isDefined(driver)
    for (const name of [...Object.keys(needed), ...imported()]) assert.isTrue(shipped.has(name), name)
    assert.isFalse(shipped.has("redis"))
  })
})
