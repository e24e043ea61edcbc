// The command line as a few files instead of six hundred modules: that is what most of a process's start went to.
// The library next to it, `dist/**` without `dist/cli`, stays module by module (`tsconfig.build.json`).
import { defineConfig, rolldown } from "rolldown"

const commandLine = {
  input: { flaredb: "src/cli/flaredb.ts", "lock-guard": "src/cli/lock/GuardProcess.ts" },
  platform: "node",
  // The first brings a binary that it looks for beside itself; the second is there when its user has installed it.
  external: ["rocksdb-native", /^@effect\/sql-pg/],
  // A command names all that it needs where it needs it, whether another one has it in the common file or not.
  checks: { ineffectiveDynamicImport: false }
}

/** What a node loads when it starts is what this module imports when it is asked to. */
const startsNode = /\/src\/cli\/commands\/Start\.ts$/

/**
 * Left to itself, rolldown makes a file of each set of modules that some parts have in common, and each of the 80 that
 * every verb loads took a third of a millisecond. So what every verb loads is one file, `common.js`, and what nodes alone
 * load is another, `node.js`: nobody loads more than before. A first run says which modules these are.
 */
const sharedFiles = async () => {
  const ofStart = new Set()
  const bundle = await rolldown({
    ...commandLine,
    logLevel: "silent",
    plugins: [{
      name: "imports of start",
      buildEnd() {
        const start = [...this.getModuleIds()].find((id) => startsNode.test(id))
        for (const id of this.getModuleInfo(start).dynamicallyImportedIds) ofStart.add(id)
      }
    }]
  })
  const { output } = await bundle.generate()
  await bundle.close()
  const chunks = new Map(output.filter(({ type }) => type === "chunk").map((chunk) => [chunk.fileName, chunk]))
  /** The modules that are there once some files are loaded. */
  const loadedWith = (fileNames) => {
    const seen = new Set()
    const load = (name) => {
      if (!chunks.has(name) || seen.has(name)) return
      seen.add(name)
      chunks.get(name).imports.forEach(load)
    }
    fileNames.forEach(load)
    return new Set([...seen].flatMap((name) => chunks.get(name).moduleIds))
  }
  const all = [...chunks.values()]
  const entries = (wanted) =>
    all.filter((chunk) => chunk.isDynamicEntry && wanted(chunk)).map(({ fileName }) => fileName)
  const isOfStart = ({ facadeModuleId, moduleIds }) =>
    ofStart.has(facadeModuleId) || moduleIds.some((id) => ofStart.has(id))
  // Beside a command that runs under a lock there is a process of its own, which takes little memory.
  const guard = loadedWith(["lock-guard.js"])
  const common = loadedWith(["flaredb.js"])
  const others = loadedWith(["flaredb.js", ...entries((chunk) => !isOfStart(chunk))])
  const node = loadedWith(entries(isOfStart))
  const isEntry = (id) => /\/src\/cli\/(?:flaredb|lock\/GuardProcess)\.ts$/.test(id)
  // A module is in the first of these that it fits.
  return [
    { name: "guard", priority: 3, test: (id) => guard.has(id) && !isEntry(id) },
    { name: "common", priority: 2, test: (id) => common.has(id) && !isEntry(id) },
    { name: "node", priority: 1, test: (id) => node.has(id) && !others.has(id) }
  ]
}

/**
 * V8 keeps a text with a single letter above U+00FF in two bytes a character, and takes longer to load it: 5 % of the
 * processor time of a verb, and 1.6 MiB of a node.
 */
const asciiOnly = {
  name: "ascii only",
  generateBundle(_, bundle) {
    for (const chunk of Object.values(bundle).filter(({ type }) => type === "chunk")) {
      chunk.code = chunk.code.replace(
        /[^\0-\x7f]/g,
        (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`
      )
    }
  }
}

export default defineConfig(async () => [
  {
    ...commandLine,
    plugins: [asciiOnly],
    // Node keeps the text of what it has loaded in memory: the documentation in it would be 3 MiB of every process.
    output: {
      dir: "dist/cli",
      cleanDir: true,
      chunkFileNames: "[name].js",
      comments: { legal: true, annotation: false, jsdoc: false },
      codeSplitting: { groups: await sharedFiles() }
    }
  },
  // The console: one script for browsers. Style, page and icon are beside it as they are (`build.sh`).
  {
    input: { app: "console/main.tsx" },
    platform: "browser",
    transform: { target: "es2023" },
    output: { dir: "dist/console", cleanDir: true, entryFileNames: "[name].js", minify: true, comments: false }
  }
])
