/** A project that installs the packed package, as its users do: with npm, into a folder of its own. */
import { execFileSync, spawnSync } from "node:child_process"
import { lstatSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"

export const root = join(import.meta.dirname, "../..")

/** The environment of somebody else's terminal: nothing that npm sets for this script, and no program of this clone. */
export const cleanEnvironment = (): NodeJS.ProcessEnv => ({
  ...Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(?:npm_|NODE_|INIT_CWD|FLAREDB_)/.test(name))
  ),
  PATH: (process.env["PATH"] ?? "").split(delimiter).filter((part) => !part.includes("node_modules")).join(delimiter)
})

export interface Ran {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

/** The bytes of a folder's files. */
export const bytesOf = (path: string): number => {
  const found = lstatSync(path)
  if (!found.isDirectory()) return found.size
  return readdirSync(path).reduce((sum, name) => sum + bytesOf(join(path, name)), 0)
}

/**
 * Packs this repository into a folder; gives the file, and the files in it. npm builds before it packs: not where that has
 * been done (`.ci/run`), as tests may run what is there.
 */
export const pack = (folder: string): { readonly file: string; readonly names: ReadonlyArray<string> } => {
  const asBuilt = process.env["VITEST_PACKAGE_IS_BUILT"] === undefined ? [] : ["--ignore-scripts"]
  const out = execFileSync("npm", ["pack", "--json", "--pack-destination", folder, ...asBuilt], {
    cwd: root,
    env: cleanEnvironment(),
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024,
    stdio: ["ignore", "pipe", "inherit"]
  })
  // What the build prints comes before it.
  const parsed = JSON.parse(out.slice(out.search(/^[[{]/m)))
  const [packed] = Array.isArray(parsed) ? parsed : Object.values(parsed)
  const { filename, files } = packed as { readonly filename: string; readonly files: ReadonlyArray<{ path: string }> }
  return { file: join(folder, filename), names: files.map(({ path }) => path) }
}

export class Consumer {
  readonly folder: string

  constructor(name: string) {
    this.folder = mkdtempSync(join(tmpdir(), `flaredb-${name}-`))
    this.write("package.json", JSON.stringify({ name, private: true, type: "module" }))
  }

  write(name: string, text: string): void {
    writeFileSync(join(this.folder, name), text)
  }

  install(...packages: ReadonlyArray<string>): void {
    const { code, err } = this.run("npm", "install", "--no-audit", "--no-fund", "--prefer-offline", ...packages)
    if (code !== 0) throw new Error(`npm install ${packages.join(" ")}: ${err}`)
  }

  /** Runs a program in the folder to its end. */
  run(program: string, ...args: ReadonlyArray<string>): Ran {
    const { error, status, stderr, stdout } = spawnSync(program, args, {
      cwd: this.folder,
      env: cleanEnvironment(),
      encoding: "utf8",
      timeout: 300_000
    })
    if (error !== undefined) throw error
    return { code: status, out: stdout, err: stderr }
  }

  /** Checks the types of files and of their declarations, those of the packages too; gives what is wrong. */
  typeErrors(resolution: "nodenext" | "bundler", files: ReadonlyArray<string>, types = ""): string {
    const tsc = join(root, "node_modules/.bin/tsc")
    const module = resolution === "bundler" ? "esnext" : resolution
    const options = [
      "--ignoreConfig",
      "--noEmit",
      "--declaration",
      "--strict",
      "--target",
      "es2024",
      "--skipLibCheck",
      "false"
    ]
    const { out } = this.run(
      tsc,
      ...options,
      "--module",
      module,
      "--moduleResolution",
      resolution,
      "--types",
      types,
      ...files
    )
    return out
  }

  /** Names of packages at the top of `node_modules`. */
  packages(): ReadonlyArray<string> {
    const modules = join(this.folder, "node_modules")
    return readdirSync(modules).filter((name) => !name.startsWith("."))
      .flatMap((name) =>
        name.startsWith("@") ? readdirSync(join(modules, name)).map((one) => `${name}/${one}`) : [name]
      )
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }
}
