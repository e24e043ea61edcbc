/** The runtimes that FlareDB is tried on: npm packages that hold one program each, for this kind of machine. */

export interface Runtime {
  readonly name: string
  /** The npm package, pinned. */
  readonly package: string
  /** The program within the package. */
  readonly program: string
  /** What stands before the file of a script. */
  readonly flags: ReadonlyArray<string>
  /** Whether it runs nodes too; the others are for clients. */
  readonly runsNodes: boolean
}

const arch = process.arch === "arm64" ? "arm64" : "x64"

const node = (version: string): Runtime => ({
  name: `Node ${version}`,
  package: `node-linux-${arch}@${version}`,
  program: "bin/node",
  flags: [],
  runsNodes: true
})

/** The oldest Node that `engines` allows, and the newest of each major version. */
export const runtimes: ReadonlyArray<Runtime> = [
  node("22.19.0"),
  node("22.23.5"),
  node("24.21.0"),
  node("26.12.1"),
  {
    name: "Bun 1.4.5",
    package: `@oven/bun-linux-${arch === "arm64" ? "aarch64" : arch}@1.4.5`,
    program: "bin/bun",
    flags: [],
    runsNodes: false
  },
  {
    name: "Deno 2.9.6",
    package: `@deno/linux-${arch}-glibc@2.9.6`,
    program: "deno",
    flags: ["run", "--allow-all"],
    runsNodes: false
  }
]
