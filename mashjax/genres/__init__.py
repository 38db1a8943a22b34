"""What a genre network says: of a store's songs, of files, of a library's songs."""
