/**
 * The flake, evaluated for every system it names, against a stub of nixpkgs: nixpkgs itself is too large to download
 * for a test. What runs inside the shell is the ordinary `npm ci` that everything else tests.
 */
import { spawnSync } from "node:child_process"
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import type { Nix } from "./Nix.ts"
import { hasNix, makeNix } from "./Nix.ts"

const systems = ["x86_64-linux", "aarch64-linux", "aarch64-darwin"]

describe.skipIf(!hasNix)("flake.nix", () => {
  let folder: string
  let nix: Nix
  const at = (...names: ReadonlyArray<string>) => join(folder, ...names)
  const evaluate = (output: string, ...args: ReadonlyArray<string>) => nix.evaluate(output, ...args)

  beforeAll(() => {
    nix = makeNix()
    folder = nix.folder
  })

  afterAll(() => nix.remove())

  it("is locked as it stands, to the pinned nixpkgs", () => {
    const metadata = JSON.parse(nix.run("flake", "metadata", "--json", "--no-update-lock-file", `path:${at("flake")}`))
    assert.deepInclude(metadata.locks.nodes.nixpkgs.locked, {
      type: "github",
      owner: "nixos",
      repo: "nixpkgs",
      rev: "044bfe75bfe4c7bbe043dc17b5e42ea823b84a09",
      narHash: "sha256-fBJMdnKUTUDtfi/BYLr71HLaC9dG382arxLF2Egg2uo=",
      lastModified: 1786534138
    })
    assert.deepEqual(Object.keys(metadata.locks.nodes), ["nixpkgs", "root"])
  })

  it("offers a shell and the local cluster on exactly its three systems", () => {
    assert.sameMembers(evaluate("devShells", "--apply", "builtins.attrNames") as Array<string>, systems)
    assert.sameMembers(evaluate("packages", "--apply", "builtins.attrNames") as Array<string>, systems)
    assert.sameMembers(evaluate("apps", "--apply", "builtins.attrNames") as Array<string>, systems)
  })

  it.each(systems)("brings Node 24 and the tools of RocksDB into the shell of %s", (system) => {
    const shell = evaluate(
      `devShells.${system}.default`,
      "--apply",
      "shell: { inherit (shell) type packages npm_config_ignore_scripts; libraries = shell.LD_LIBRARY_PATH or null; }"
    )
    const stub = `/nixpkgs-stub/${system}`
    assert.deepEqual(shell, {
      type: "derivation",
      packages: [`${stub}/nodejs-24`, `${stub}/rocksdb-tools`],
      npm_config_ignore_scripts: "true",
      libraries: system.endsWith("-linux") ? `${stub}/gcc-lib/lib` : null
    })
  })

  it.each(systems)("has npm's scripts find Nix's Node first on %s", (system) => {
    const shell = evaluate(`devShells.${system}.default.npm_config_script_shell`) as string
    const file = at("store", shell)
    const run = spawnSync("bash", [file, "-c", "echo $PATH"], { encoding: "utf8", env: { PATH: "/usr/bin:/bin" } })
    assert.equal(run.stdout, `/nixpkgs-stub/${system}/nodejs-24/bin:/usr/bin:/bin\n`, run.stderr)
    assert.include(readFileSync(clusterScript(system), "utf8"), `export npm_config_script_shell="${shell}"`)
  })

  /** The script behind `nix run .#cluster`. */
  const clusterScript = (system: string): string => {
    const app = evaluate(`apps.${system}.cluster`) as { readonly type: string; readonly program: string }
    assert.equal(app.type, "app")
    assert.match(app.program, /\/bin\/flaredb-cluster$/)
    return at("store", app.program.slice(0, -"/bin/flaredb-cluster".length))
  }

  it.each(systems)("runs the cluster on Node 24 on %s", (system) => {
    const text = readFileSync(clusterScript(system), "utf8")
    assert.include(text, `export PATH="/nixpkgs-stub/${system}/nodejs-24/bin:$PATH"`)
    assert.equal(text.includes(`LD_LIBRARY_PATH="/nixpkgs-stub/${system}/gcc-lib/lib"`), system.endsWith("-linux"))
  })

  describe("the cluster's script", () => {
    /** Runs it in `cwd` with an `npm` and a `node` that only say how they were called. */
    const runIn = (cwd: string) => {
      mkdirSync(at("tools"), { recursive: true })
      for (const tool of ["npm", "node"]) {
        writeFileSync(at("tools", tool), `#!/bin/sh\necho ${tool} "$@"\n`)
        chmodSync(at("tools", tool), 0o755)
      }
      return spawnSync("bash", [clusterScript("x86_64-linux"), "--data-dir", "a b"], {
        cwd,
        encoding: "utf8",
        env: { PATH: `${at("tools")}:${process.env["PATH"]}` }
      })
    }

    it("installs what is missing, builds, and becomes the cluster", () => {
      const clone = at("clone")
      mkdirSync(join(clone, "bin"), { recursive: true })
      writeFileSync(join(clone, "bin/flaredb.js"), "")
      writeFileSync(join(clone, "package-lock.json"), "{}")
      const started = ["npm run --silent build", "node bin/flaredb.js cluster --data-dir a b", ""]

      const first = runIn(clone)
      assert.equal(first.stdout, ["npm ci", ...started].join("\n"), first.stderr)
      assert.equal(first.status, 0)

      mkdirSync(join(clone, "node_modules"))
      writeFileSync(join(clone, "node_modules/.package-lock.json"), "{}")
      assert.equal(runIn(clone).stdout, started.join("\n"))
    })

    it("refuses to run elsewhere, and says where", () => {
      mkdirSync(at("elsewhere"))
      const run = runIn(at("elsewhere"))
      assert.equal(run.status, 1)
      assert.equal(run.stdout, "")
      assert.include(run.stderr, "run this in a clone of FlareDB")
    })
  })
})
