"""What people read: tables, pages and single replies."""
