"""What the SQL stores share: tables and their rows, statements for many rows, filters, migrations."""
