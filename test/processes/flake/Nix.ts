/** The flake with a stub of nixpkgs in place of its input, and a store of its own: no network, daemon or build users. */
import { spawnSync } from "node:child_process"
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const root = join(import.meta.dirname, "../../..")
const stub = `path:${join(import.meta.dirname, "nixpkgs-stub")}`

export const hasNix = spawnSync("nix", ["--version"]).status === 0
if (!hasNix) console.warn("tests of the flake are skipped: `nix` is not installed (on Debian: apt-get install nix-bin)")

export interface Nix {
  /** Has the folders `flake` and `store`. */
  readonly folder: string
  readonly run: (...args: ReadonlyArray<string>) => string
  /** An output of the flake, as JSON has it. */
  readonly evaluate: (output: string, ...args: ReadonlyArray<string>) => unknown
  /** Arguments that put the stub in the place of nixpkgs. */
  readonly withStub: ReadonlyArray<string>
  readonly remove: () => void
}

export const makeNix = (): Nix => {
  const folder = mkdtempSync(join(tmpdir(), "flaredb-flake-"))
  const at = (...names: ReadonlyArray<string>) => join(folder, ...names)
  mkdirSync(at("flake/deploy"), { recursive: true })
  for (const name of ["flake.nix", "flake.lock", "package.json", "package-lock.json"]) {
    copyFileSync(join(root, name), at("flake", name))
  }
  cpSync(join(root, "deploy/nix"), at("flake/deploy/nix"), { recursive: true })
  const withStub = ["--no-write-lock-file", "--override-input", "nixpkgs", stub]
  const run = (...args: ReadonlyArray<string>): string => {
    const settings = ["--extra-experimental-features", "nix-command flakes", "--option", "build-users-group", ""]
    const { status, stderr, stdout } = spawnSync("nix", [...settings, "--offline", "--store", at("store"), ...args], {
      encoding: "utf8",
      env: { PATH: process.env["PATH"], HOME: folder },
      maxBuffer: 64 * 1024 * 1024
    })
    if (status !== 0) throw new Error(`nix ${args.join(" ")}: ${stderr}`)
    return stdout
  }
  return {
    folder,
    run,
    evaluate: (output, ...args) =>
      JSON.parse(run("eval", "--json", `path:${at("flake")}#${output}`, ...withStub, ...args)),
    withStub,
    remove: () => {
      // Nix makes what it stores read-only, folders included.
      spawnSync("chmod", ["-R", "u+w", folder])
      rmSync(folder, { recursive: true, force: true })
    }
  }
}
