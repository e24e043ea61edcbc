import { render } from "preact"
import { App } from "./App.tsx"
import { followTheme } from "./Theme.tsx"

followTheme()
const root = document.getElementById("app")
if (root !== null) render(<App />, root)
