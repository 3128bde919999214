{
  # npm and node-gyp look for this file; the one real build is CMakeLists.txt, reached through cmake-js.
  "targets": [
    {
      "target_name": "sluice",
      "type": "none",
      "actions": [
        {
          "action_name": "cmake",
          "inputs": ["CMakeLists.txt"],
          "outputs": ["build/Release/sluice.node"],
          "action": ["npm", "run", "build"]
        }
      ]
    }
  ]
}
