"""What every room uses: types, arguments of public functions, threads, memory, files kept on disk."""
