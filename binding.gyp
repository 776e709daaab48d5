{
  "targets": [
    {
      "target_name": "quarry",
      "sources": [
        "native/addon.cc",
        "native/aio_queue.cc",
        "native/aligned_memory.cc",
        "native/completion_ring.cc",
        "native/crc32c.cc",
        "native/datagram.cc",
        "native/descriptor.cc",
        "native/device_probe.cc",
        "native/environment.cc",
        "native/errand.cc",
        "native/errors.cc",
        "native/event_spinner.cc",
        "native/file_clock.cc",
        "native/fuse_channel.cc",
        "native/hook_watch.cc",
        "native/io_queue.cc",
        "native/limits.cc",
        "native/local_file.cc",
        "native/loop_poll.cc",
        "native/mapped_file.cc",
        "native/mount.cc",
        "native/mount_watch.cc",
        "native/notifier.cc",
        "native/process.cc",
        "native/relief.cc",
        "native/script_callback.cc",
        "native/thread_queue.cc",
        "native/uring_queue.cc"
      ],
      "include_dirs": ["<!@(node -p \"require('node-addon-api').include\")"],
      "defines": ["NAPI_VERSION=8", "NAPI_CPP_EXCEPTIONS", "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS", "_GNU_SOURCE", "_FILE_OFFSET_BITS=64"],
      "cflags_cc!": ["-fno-exceptions", "-std=gnu++17", "-std=gnu++20", "-O3"],
      "cflags_cc": ["-std=c++17", "-O2", "-fexceptions", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-unused-parameter"],
      "conditions": []
    }
  ]
}
